'use strict'

// What callers do in tools/chaos.js, well-behaved and not. Each returns when all it began has settled, and throws where
// something is not as it has to be: a body that is neither whole nor an error, an event that comes twice.

const { Readable } = require('node:stream')
const { setTimeout: sleep } = require('node:timers/promises')
const http = require('node:http')
const net = require('node:net')
const { WebSocket } = require('ws')

/** Bytes of one piece of the application's bodies. */
const PIECE = 4096

function check (condition, message) {
  if (!condition) throw new Error(message)
}

/** Errors a caller has to expect: ours, aborts, and those of a connection that is cut. */
function expected (error) {
  if (/^ERR_PYTHON_|^ECONN|^EPIPE|^HPE_|^ERR_STREAM|^WS_ERR/.test(error?.code) || error?.name === 'AbortError') return
  if (/aborted|socket hang up|closed before|terminated|before the connection/.test(error?.message)) return
  throw error
}

/** A body has all of its bytes in the right order. */
function checkBytes (body, pieces) {
  check(body.length === pieces * PIECE, `a body of ${body.length} bytes, not ${pieces * PIECE}`)
  for (let at = 0; at < body.length; at += 997) check(body[at] === at % 256, `a wrong byte at ${at}`)
}

async function collect (stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Waits for 'close', which comes once and at last. */
function closing (emitter, on = 'on') {
  return new Promise((resolve, reject) => {
    let count = 0
    emitter[on]('close', event => {
      if (++count > 1) reject(new Error('closed twice'))
      // Whatever else comes in this turn would come after the end.
      setImmediate(resolve, event)
    })
  })
}

/** @returns {Promise<Error>} that of a request which must not succeed */
async function failing (promise) {
  return promise.then(() => { throw new Error('succeeded') }, error => {
    expected(error)
    return error
  })
}

// ------------------------------------------------------------------------------ the handler, directly

const DIRECT = {
  async echo (handler, { random, text }) {
    const body = text(random(20_000))
    const response = await handler.handleRequest({ method: 'POST', url: '/echo', body })
    check(String(response.body) === body, 'another body')
  },
  async bytes (handler, { random }) {
    const pieces = random(60)
    checkBytes(await collect(await handler.handleStream({ url: `/bytes/${pieces}` })), pieces)
  },
  async stream (handler, { random }) {
    const pieces = random(60)
    const stream = (await handler.handleStream({ url: `/bytes/${pieces}` })).stream()
    const closed = closing(stream)
    checkBytes(await collect(stream), pieces)
    await closed
  },
  async fetch (handler, { random }) {
    const pieces = random(60)
    checkBytes(Buffer.from(await (await handler.fetch(`/bytes/${pieces}`)).arrayBuffer()), pieces)
  },
  async upload (handler, { random, text }) {
    const parts = Array.from({ length: random(20) }, () => text(random(9_000)))
    const { body } = await handler.handleRequest({ method: 'POST', url: '/echo', body: Readable.from(parts) })
    check(String(body) === parts.join(''), 'another body')
  },
  async brokenUpload (handler) {
    async function * source () {
      yield 'a'
      throw Object.assign(new Error('the source fails'), { code: 'ECONNSOURCE' })
    }
    await failing(handler.handleRequest({ method: 'POST', url: '/echo', body: source() }))
  },
  raise: handler => failing(handler.handleRequest({ url: '/raise' })),
  break: async handler => failing(collect(await handler.handleStream({ url: '/break' }))),
  cancel: handler => failing(handler.handleRequest({ url: '/cancel' })),
  hang: handler => failing(handler.handleRequest({ url: '/hang' })),
  async abort (handler, { random }) {
    const controller = new AbortController()
    const answer = failing(handler.handleRequest({ url: random(2) === 0 ? '/hang' : '/flood' }, controller.signal))
    await sleep(random(20))
    controller.abort()
    await answer
  },
  async leave (handler, { random }) {
    let left = random(20)
    for await (const chunk of await handler.handleStream({ url: '/flood' })) if (left-- === 0) break; else check(chunk.length > 0, 'empty')
  },
  async destroy (handler, { random }) {
    const stream = (await handler.handleStream({ url: '/flood' })).stream().resume()
    const closed = closing(stream)
    await sleep(random(10))
    stream.destroy()
    await closed
  },
  async helpers (handler, { random }) {
    const action = ['thread', 'fork', 'child', 'block'][random(4)]
    const { body } = await handler.handleRequest({ url: `/${action}` })
    check(['thread', 'forked', 'blocked'].includes(String(body)), `got ${body}`)
  },
  async webSocket (handler, { random, text }) {
    const socket = handler.connect('/socket')
    const closed = closing(socket, 'addEventListener')
    socket.addEventListener('error', ({ error }) => expected(error))
    const messages = Array.from({ length: random(20) }, () => text(random(3_000)))
    socket.addEventListener('open', () => { for (const message of messages) socket.send(message) })
    let received = 0
    socket.addEventListener('message', ({ data }) => {
      check(data === messages[received], 'another message')
      if (++received === messages.length) [() => socket.close(), () => socket.send('raise')][random(2)]()
    })
    if (messages.length === 0) socket.close()
    await closed
    check(received === messages.length, `${received} of ${messages.length} messages`)
  }
}

// --------------------------------------------------------------------- clients of the http adapter

/** A response of the server, or the error that ended it. */
function ask (port, { path, method = 'GET', body }) {
  return new Promise((resolve, reject) => {
    const req = http.request({ port, host: '127.0.0.1', path, method, agent: false })
    req.on('error', reject).on('response', res => collect(res).then(content => resolve({ status: res.statusCode, body: content }), reject))
    req.end(body)
  })
}

/** A raw connection: what it got when it is closed. */
function raw (port, options) {
  const socket = net.connect({ port, host: '127.0.0.1', ...options })
  const chunks = []
  socket.on('data', chunk => chunks.push(chunk)).on('error', expected)
  const closed = closing(socket).then(() => Buffer.concat(chunks))
  return { socket, closed }
}

const GET = path => `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`

const CLIENT = {
  async httpBytes (port, { random }) {
    const pieces = random(60)
    const { status, body } = await ask(port, { path: `/bytes/${pieces}` })
    check(status === 200, `status ${status}`)
    checkBytes(body, pieces)
  },
  async httpEcho (port, { random, text }) {
    const body = text(random(30_000))
    const answer = await ask(port, { path: '/echo', method: 'POST', body })
    check(answer.status === 200 && String(answer.body) === body, `another body, status ${answer.status}`)
  },
  async httpRaise (port) {
    const { status } = await ask(port, { path: '/raise' })
    check(status === 500, `status ${status}`)
  },
  httpBreak: port => failing(ask(port, { path: '/break' })),
  async httpHang (port) {
    const { status } = await ask(port, { path: '/hang' })
    check(status === 504, `status ${status}`)
  },
  async abortRequest (port, { random }) {
    const { socket, closed } = raw(port)
    socket.write('POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\npart')
    await sleep(random(20))
    socket.resetAndDestroy()
    await closed
  },
  async abortResponse (port, { random }) {
    const { socket, closed } = raw(port)
    socket.write(GET('/flood'))
    await sleep(random(20))
    socket.destroy()
    await closed
  },
  async halfClose (port, { random }) {
    const pieces = 1 + random(10)
    const { socket, closed } = raw(port, { allowHalfOpen: true })
    socket.end(GET(`/bytes/${pieces}`).replace('HTTP/1.1', 'HTTP/1.0'))
    socket.on('end', () => socket.destroy())
    const answer = await closed
    const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4)
    // Node ends a connection whose client has half-closed it before the answer: cut off, but never another body.
    if (answer.length > 0 && body.length === pieces * PIECE) checkBytes(body, pieces)
  },
  async stall (port, { random }) {
    const pieces = 400
    const { socket, closed } = raw(port)
    socket.write(GET(`/bytes/${pieces}`).replace('HTTP/1.1', 'HTTP/1.0'))
    socket.pause()
    await sleep(random(100))
    socket.resume()
    const answer = await closed
    checkBytes(answer.subarray(answer.indexOf('\r\n\r\n') + 4), pieces)
  },
  async garbage (port, { random, bytes }) {
    const { socket, closed } = raw(port)
    const lead = ['', 'GET / HTTP/1.1\r\n', 'POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n', GET('/\x00'), 'GET /\xff\xfe HTTP/1.1\r\nhost:\r\n\r\n'][random(5)]
    socket.write(Buffer.from(lead, 'latin1'))
    socket.end(bytes(random(500)))
    const timer = setTimeout(() => socket.destroy(), 200)
    await closed
    clearTimeout(timer)
  },
  async networkSocket (port, { random, text }) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`)
    const closed = closing(socket)
    socket.on('error', expected)
    const messages = Array.from({ length: 1 + random(10) }, () => text(random(3_000)))
    let received = 0
    socket.on('open', () => { for (const message of messages) socket.send(message) })
    socket.on('message', data => {
      check(String(data) === messages[received], 'another message')
      if (++received === messages.length) [() => socket.close(), () => socket.terminate(), () => socket.send('raise')][random(3)]()
    })
    await closed
    check(received === messages.length, `${received} of ${messages.length} messages`)
  },
  async garbageFrames (port, { random, bytes }) {
    const { socket, closed } = raw(port)
    socket.write('GET /socket HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n' +
      'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
    await sleep(random(20))
    socket.end(bytes(random(200)))
    const timer = setTimeout(() => socket.destroy(), 200)
    await closed
    clearTimeout(timer)
  }
}

module.exports = { CLIENT, DIRECT }

// stopGracefully: what runs may finish, the rest is cut in time, the application shuts down. And the demo's server, which
// is stopped so by signals. (attachWebSocket alone: http-websocket.test.mjs.)

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { test } from 'node:test'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { attachWebSocket, createRequestListener, stopGracefully } from '../http.js'
import interpreter from '../lib/interpreter.js'
import { collect, docroot, failure, noted, notedSoFar, release, serve, timeout, turns, watch } from './fixtures.mjs'
import { runFixture } from './processes.mjs'
import { accept, body, part, script, start, unique } from './script.mjs'

/** Milliseconds far above what a stop takes that waits for nothing. */
const AMPLE = 40_000

let made

function certificates () {
  const { executable } = interpreter.findInterpreter({ docroot })
  made ??= JSON.parse(execFileSync(executable, [fileURLToPath(new URL('fixtures/certificates.py', import.meta.url))]))
  return made
}

/** A server and a handler of its own, which has a lifespan that notes its shutdown. */
async function listen (t, make = http.createServer) {
  const errors = []
  const onError = error => { errors.push(error) }
  const handler = serve('stopping:app', { responseTimeout: 0 })
  const server = make(createRequestListener(handler, { onError }))
  const sockets = new Set()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  if (make === http.createServer) attachWebSocket(server, handler, { onError })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await handler.close({ timeout: 100 }).catch(() => {})
  })
  const { port } = server.address()
  return { handler, server, port, errors, sockets, shutdowns: () => notedSoFar('stopping.shutdowns') }
}

/** How many connections a server has. */
function connections (server) {
  return new Promise((resolve, reject) => server.getConnections((error, count) => error ? reject(error) : resolve(count)))
}

/** Resolves with the response and its body once that has ended; `started` with the head. */
function get (port, steps, agent = false) {
  const req = http.get({ host: '127.0.0.1', port, path: script(...steps), agent })
  const started = once(req, 'response').then(([res]) => res)
  started.catch(() => {})
  return { started, ended: started.then(async res => ({ res, body: String(await collect(res)) })) }
}

test('requests in flight finish, then the lifespan ends, then it resolves', { timeout }, async t => {
  const { handler, server, port, errors, shutdowns } = await listen(t)
  const before = await shutdowns() ?? 0
  const name = unique('go')
  const waiting = get(port, [['note', `${name}.asked`], ['released', name], start(), body('whole')])
  const streaming = get(port, [start(), part('one '), ['released', name], body('two')])
  await noted(`${name}.asked`)
  await streaming.started
  const stopped = stopGracefully(server, handler, { timeout: AMPLE })
  const hasStopped = watch(stopped)
  await turns()
  assert.equal(hasStopped(), false)
  assert.equal(await shutdowns() ?? 0, before)
  await release(name)
  assert.equal((await waiting.ended).body, 'whole')
  assert.equal((await streaming.ended).body, 'one two')
  await stopped
  assert.equal(await shutdowns(), before + 1)
  assert.equal(server.listening, false)
  assert.equal(await connections(server), 0)
  assert.deepEqual(errors, [])
})

test('new connections are refused', { timeout }, async t => {
  const { handler, server, port } = await listen(t)
  const name = unique('go')
  const waiting = get(port, [['note', `${name}.asked`], ['released', name], start(), body('whole')])
  await noted(`${name}.asked`)
  const stopped = stopGracefully(server, handler, { timeout: AMPLE })
  const [error] = await once(net.connect(port, '127.0.0.1'), 'error')
  assert.equal(error.code, 'ECONNREFUSED')
  await release(name)
  await waiting.ended
  await stopped
})

test('idle connections close at once, also one that had no request', { timeout }, async t => {
  const { handler, server, port, sockets } = await listen(t)
  const agent = new http.Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  await get(port, [start(), body('all')], agent).ended
  const silent = net.connect(port, '127.0.0.1')
  silent.on('error', () => {})
  while (sockets.size < 2) await once(server, 'connection')
  const begin = performance.now()
  await stopGracefully(server, handler, { timeout: AMPLE })
  assert.ok(performance.now() - begin < AMPLE / 4)
  assert.equal(await connections(server), 0)
})

const secureHttp2 = listener => http2.createSecureServer({ ...certificates().server, allowHTTP1: true }, listener)
const over = port => ({ port, host: '127.0.0.1', rejectUnauthorized: false })

// Scenario: Node's servers do not know these, so they held a stop to the end of its time, and then the process.
for (const [what, make, connect] of [
  ['https, before the TLS handshake', listener => https.createServer(certificates().server, listener), async ({ port, server }) => {
    const socket = net.connect(port, '127.0.0.1')
    await once(server, 'connection')
    return socket
  }],
  ['HTTP/2 under TLS, before the handshake', secureHttp2, async ({ port, server }) => {
    const socket = net.connect(port, '127.0.0.1')
    await once(server, 'connection')
    return socket
  }],
  ['HTTP/2, before its preface', http2.createServer, async ({ port, server }) => {
    const socket = net.connect(port, '127.0.0.1')
    await once(server, 'connection')
    return socket
  }],
  ['HTTP/1.1 on a server of HTTP/2', secureHttp2, async ({ port, server }) => {
    const socket = tls.connect({ ...over(port), ALPNProtocols: ['http/1.1'] })
    await once(server, 'secureConnection')
    return socket
  }],
  ['an HTTP/2 session', http2.createServer, async ({ port }) => {
    const client = http2.connect(`http://127.0.0.1:${port}`)
    await once(client, 'remoteSettings')
    return client
  }],
  ['an HTTP/2 session under TLS', secureHttp2, async ({ port }) => {
    const client = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
    await once(client, 'remoteSettings')
    return client
  }]
]) {
  test(`a connection that never had a request closes at once: ${what}`, { timeout }, async t => {
    const own = await listen(t, make)
    const client = await connect(own)
    client.on('error', () => {})
    const closed = once(client, 'close')
    const begin = performance.now()
    await stopGracefully(own.server, own.handler, { timeout: AMPLE })
    assert.ok(performance.now() - begin < AMPLE / 4)
    await closed
    assert.equal(await connections(own.server), 0)
  })
}

for (const [what, make, connect] of [
  ['HTTP/1.1', http.createServer, async port => {
    const agent = new http.Agent({ keepAlive: true })
    const { started, ended } = get(port, [start(), body('all')], agent)
    const { socket } = await started
    await ended
    return socket
  }],
  ['HTTP/2', secureHttp2, async port => {
    const client = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
    await once(client, 'remoteSettings')
    return client
  }]
]) {
  test(`an idle connection closes while others have a response in flight: ${what}`, { timeout }, async t => {
    const { handler, server, port } = await listen(t, make)
    const name = unique('go')
    const idle = await connect(port)
    const closed = once(idle, 'close')
    const module = make === http.createServer ? http : https
    const req = module.get({ ...over(port), path: script(start(), part('one '), ['released', name], body('two')), agent: false })
    const [res] = await once(req, 'response')
    const stopped = stopGracefully(server, handler, { timeout: AMPLE })
    await closed
    await release(name)
    assert.equal(String(await collect(res)), 'one two')
    await stopped
  })
}

test('a response that begins meanwhile says that its connection closes', { timeout }, async t => {
  const { handler, server, port } = await listen(t)
  const agent = new http.Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const name = unique('go')
  const waiting = get(port, [['note', `${name}.asked`], ['released', name], start(), body('whole')], agent)
  await noted(`${name}.asked`)
  const stopped = stopGracefully(server, handler, { timeout: AMPLE })
  await release(name)
  const { res, body: text } = await waiting.ended
  assert.deepEqual([res.headers.connection, text], ['close', 'whole'])
  await stopped
})

test('a connection closes after its last response', { timeout }, async t => {
  const { handler, server, port, sockets } = await listen(t)
  const agent = new http.Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const [first, second] = [unique('go'), unique('go')]
  const one = get(port, [['note', `${first}.asked`], ['released', first], start(), body('one')], agent)
  await noted(`${first}.asked`)
  const [socket] = sockets
  const two = get(port, [start(), part('two'), ['released', second], body('')])
  await two.started
  const stopped = stopGracefully(server, handler, { timeout: AMPLE })
  const closed = once(socket, 'close')
  await release(first)
  await one.ended
  // While the other one still streams.
  await closed
  await release(second)
  await two.ended
  await stopped
})

test('a request that comes meanwhile on an open connection is a 503, and closes it', { timeout }, async t => {
  const { handler, server, port, errors } = await listen(t)
  const name = unique('go')
  const socket = net.connect(port, '127.0.0.1')
  socket.write(`GET ${script(['note', `${name}.asked`], ['released', name], start(), body('one'))} HTTP/1.1\r\nHost: a\r\n\r\n`)
  await noted(`${name}.asked`)
  const stopped = stopGracefully(server, handler, { timeout: AMPLE })
  socket.write('GET /script?[] HTTP/1.1\r\nHost: a\r\n\r\n')
  await turns()
  await release(name)
  const all = String(await collect(socket))
  assert.match(all, /^HTTP\/1.1 200 OK\r\n[^]*one[^]*HTTP\/1.1 503 Service Unavailable\r\n[^]*connection: close\r\n/i)
  await stopped
  assert.deepEqual(errors.map(error => error.code), ['ERR_PYTHON_CLOSED'])
})

test('a stream without end is cut, and the lifespan still ends, within the timeout', { timeout }, async t => {
  const { handler, server, port, shutdowns, errors } = await listen(t)
  const before = await shutdowns() ?? 0
  const name = unique('cut')
  const { started, ended } = get(port, [start(), part('one'), ['forever', name]])
  await started
  const begin = performance.now()
  const stopped = stopGracefully(server, handler, { timeout: 1_000 })
  await assert.rejects(ended, { code: 'ECONNRESET' })
  await stopped
  const took = performance.now() - begin
  assert.ok(took >= 700 && took < 5_000, `${took} ms`)
  assert.equal(await shutdowns(), before + 1)
  await noted(name)
  assert.deepEqual(errors, [])
})

test('what a client reads slowly it gets whole', { timeout }, async t => {
  const { handler, server, port } = await listen(t)
  const name = unique('sent')
  const length = 20 * 2 ** 20
  const large = ['send', { type: 'http.response.body', body: { $zeros: length } }]
  const req = http.get({ host: '127.0.0.1', port, path: script(start(), large, ['note', name]), agent: false })
  const [res] = await once(req, 'response')
  await noted(name)
  const stopped = stopGracefully(server, handler, { timeout: AMPLE })
  const hasStopped = watch(stopped)
  await turns()
  assert.equal(hasStopped(), false)
  assert.equal((await collect(res)).length, length)
  await stopped
})

test('WebSockets are closed with 1001', { timeout }, async t => {
  const { handler, server, port, errors } = await listen(t)
  const name = unique('end')
  const client = new WebSocket(`ws://127.0.0.1:${port}${script(...accept(), ['echo', name])}`)
  await once(client, 'open')
  const closed = once(client, 'close')
  await stopGracefully(server, handler, { timeout: AMPLE })
  assert.equal((await closed)[0], 1001)
  assert.equal((await noted(name)).code, 1001)
  assert.equal(await connections(server), 0)
  assert.deepEqual(errors, [])
})

// Scenario: to the application the client is gone with its close frame; what it has yet to read was cut off.
test('a WebSocket that its client has closed ends in good order', { timeout }, async t => {
  const { handler, server, port } = await listen(t)
  const sent = unique('sent')
  const message = { type: 'websocket.send', bytes: { $zeros: 64 * 1024 } }
  const url = `ws://127.0.0.1:${port}${script(...accept(), ['repeat', 1000, sent, message])}`
  const client = new WebSocket(url, { perMessageDeflate: false })
  await once(client, 'open')
  const closed = once(client, 'close')
  client.pause()
  await noted(sent)
  for (let last = -1; last !== await notedSoFar(sent);) {
    last = await notedSoFar(sent)
    await turns(50)
  }
  client.close(4000)
  while (handler.stats().openSockets > 0) await turns(1)
  const stopped = stopGracefully(server, handler, { timeout: AMPLE })
  await turns(50)
  client.resume()
  assert.equal((await closed)[0], 4000)
  await stopped
})

test('a WebSocket whose client does not answer is cut', { timeout }, async t => {
  const { handler, server, port } = await listen(t)
  const name = unique('end')
  const client = new WebSocket(`ws://127.0.0.1:${port}${script(...accept(), ['echo', name])}`)
  client.on('error', () => {})
  await once(client, 'open')
  client.pause()
  const begin = performance.now()
  await stopGracefully(server, handler, { timeout: 1_000 })
  assert.ok(performance.now() - begin < 5_000)
  assert.equal((await noted(name)).code, 1006)
  assert.equal(await connections(server), 0)
  client.terminate()
})

test('HTTP/2 sessions end when their streams have', { timeout }, async t => {
  const { handler, server, port, errors } = await listen(t, http2.createServer)
  const client = http2.connect(`http://127.0.0.1:${port}`)
  const name = unique('go')
  const req = client.request({ ':path': script(start(), part('one '), ['released', name], body('two')) })
  await once(req, 'response')
  const ended = once(client, 'close')
  const stopped = stopGracefully(server, handler, { timeout: AMPLE })
  await release(name)
  assert.equal(String(await collect(req)), 'one two')
  await stopped
  await ended
  assert.deepEqual(errors, [])
})

test('an HTTP/2 stream without end is cut', { timeout }, async t => {
  const { handler, server, port, errors } = await listen(t, http2.createServer)
  const client = http2.connect(`http://127.0.0.1:${port}`)
  client.on('error', () => {})
  const name = unique('cut')
  const req = client.request({ ':path': script(start(), part('one'), ['forever', name]) })
  req.on('error', () => {})
  await once(req, 'response')
  req.resume()
  const ended = once(client, 'close')
  await stopGracefully(server, handler, { timeout: 1_000 })
  await ended
  await noted(name)
  assert.deepEqual(errors, [])
})

test('a shutdown that fails rejects, with the server closed', { timeout }, async () => {
  const handler = serve('lifespan:shutdown_failed')
  const server = http.createServer(createRequestListener(handler)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  await handler.ready()
  await assert.rejects(stopGracefully(server, handler), failure('ERR_PYTHON_SHUTDOWN'))
  assert.equal(server.listening, false)
})

for (const wrong of ['1000', -1, NaN, Infinity]) {
  test(`timeout has to be milliseconds: ${typeof wrong} ${wrong}`, { timeout }, async t => {
    const { handler, server } = await listen(t)
    await assert.rejects(stopGracefully(server, handler, { timeout: wrong }), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    assert.equal(server.listening, true)
  })
}

for (const [what, wrong] of [
  ['no server', ({ handler }) => [null, handler]],
  ['the two changed over', ({ handler, server }) => [handler, server]],
  ['no handler', ({ server }) => [server, {}]],
  ['a handler that is undefined', ({ server }) => [server]],
  ['options that are null', ({ handler, server }) => [server, handler, null]],
  ['options that are a number', ({ handler, server }) => [server, handler, 5]]
]) {
  test(`${what} is the caller's error, before anything stops`, { timeout }, async t => {
    const own = await listen(t)
    await assert.rejects(stopGracefully(...wrong(own)), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    assert.equal(own.server.listening, true)
    assert.equal((await get(own.port, [start(), body()]).started).statusCode, 200)
  })
}

const skip = process.platform === 'win32' && 'signals end a process there'
for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`the demo finishes what runs and exits with 0 after ${signal}`, { timeout, skip }, async () => {
    const { ended, stdout, stderr } = await runFixture('demo.mjs', [signal], { limit: timeout / 2 })
    assert.deepEqual([ended, stderr], [0, ''])
    assert.match(stdout, /line 1 of 3\nline 2 of 3\nline 3 of 3\n/)
    assert.match(stdout, /\nstopped$/m)
  })

  test(`the demo exits within seconds after a second ${signal}`, { timeout, skip }, async () => {
    const { ended, stdout, stderr } = await runFixture('demo.mjs', [signal, 'twice'], { limit: timeout / 2 })
    assert.deepEqual([ended, stderr], [0, ''])
    assert.match(stdout, /cut/)
  })
}

// attachWebSocket on real servers, through real clients: `ws`, undici, Python's `websockets`, and bytes on a socket. What
// the application does is in the steps of fixtures/script.py.

import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { after, describe, test } from 'node:test'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { inspect, promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { constants, deflateRawSync } from 'node:zlib'
import { WebSocket as UndiciWebSocket } from 'undici'
import { WebSocket } from 'ws'
import { attachWebSocket, createRequestListener } from '../http.js'
import interpreter from '../lib/interpreter.js'
import { collect, docroot, failure, noted, notedSoFar, release, serve, timeout, turns } from './fixtures.mjs'
import { runFixture } from './processes.mjs'
import { accept, binary, body, bytes, close, part, script, start, text, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0 })

const { executable } = interpreter.findInterpreter({ docroot })
const certificates = JSON.parse(execFileSync(executable, [fileURLToPath(new URL('fixtures/certificates.py', import.meta.url))]))

after(() => handler.close({ timeout: 1000 }))

/** A server with the application's WebSockets; gone, with its connections, when the test ends. */
async function listen (t, options, listener = createRequestListener(handler), attach = [options]) {
  const errors = []
  const sockets = new Set()
  const server = http.createServer(listener)
  const attachments = attach.map(each => {
    return attachWebSocket(server, each?.handler ?? handler, { onError (error) { errors.push(error) }, ...each, handler: undefined })
  })
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address()
  return { server, port, errors, sockets, attachments, url: (...steps) => `ws://127.0.0.1:${port}${script(...steps)}` }
}

/** A `ws` client with everything it received, in order. */
function connect (url, protocols, options) {
  const client = new WebSocket(url, protocols, options)
  const messages = []
  client.on('message', (data, isBinary) => messages.push(isBinary ? data : data.toString()))
  client.on('error', () => {})
  client.messages = messages
  client.opened = once(client, 'open')
  client.opened.catch(() => {})
  client.closed = new Promise(resolve => client.on('close', (code, reason) => resolve([code, reason.toString()])))
  client.upgraded = once(client, 'upgrade').then(([response]) => response)
  client.upgraded.catch(() => {})
  client.refused = new Promise(resolve => client.on('unexpected-response', async (_req, res) => {
    resolve({ status: res.statusCode, headers: res.headers, rawHeaders: res.rawHeaders, body: String(await collect(res)) })
  }))
  return client
}

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

function handshake (path, headers = {}, method = 'GET', version = '1.1') {
  const fields = {
    Host: 'example.test', Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': KEY, ...headers
  }
  const lines = Object.entries(fields).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`${method} ${path} HTTP/${version}\r\n${lines.join('')}\r\n`, 'latin1')
}

/** One masked frame of a client, at most 125 bytes. */
function frame (opcode, content) {
  const payload = Buffer.from(content)
  const mask = randomBytes(4)
  const masked = payload.map((byte, index) => byte ^ mask[index % 4])
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, masked])
}

/** One compressed message of a client that keeps no context. */
function deflated (content) {
  return frame(0x41, deflateRawSync(content, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4))
}

const DEFLATE = { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_no_context_takeover' }

/** Waits until what is counted under `name` no longer grows. */
async function settled (name) {
  let last = -1
  for (let now = await notedSoFar(name); now !== last; now = await notedSoFar(name)) {
    last = now
    await turns(50)
  }
  return last
}

/** A socket to write bytes to. `all`: what came until the server closed. */
function raw (port) {
  const socket = net.connect(port, '127.0.0.1')
  const chunks = []
  socket.on('error', () => {})
  socket.on('data', chunk => chunks.push(chunk))
  socket.received = () => Buffer.concat(chunks)
  socket.all = new Promise(resolve => socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1'))))
  socket.until = async wanted => {
    while (!socket.received().includes(wanted)) await once(socket, 'data')
    return socket.received()
  }
  return socket
}

/** What the application received last, by the steps `['echo', name]`. */
const disconnect = (code, reason = '') => ({ type: 'websocket.disconnect', code, reason })

describe('the handshake', () => {
  test('gives the application the scope of the request', { timeout }, async t => {
    const { port, url } = await listen(t)
    const name = unique('scope')
    const client = connect(url(['scope_as', name], ...accept(), close()), ['chat', 'superchat'], { headers: { 'X-A': '1' } })
    await client.closed
    const scope = await noted(name)
    assert.equal(scope.type, 'websocket')
    assert.equal(scope.scheme, 'ws')
    assert.equal(scope.path, '/script')
    assert.equal(scope.http_version, '1.1')
    assert.deepEqual(scope.subprotocols, ['chat', 'superchat'])
    assert.deepEqual(scope.server, ['127.0.0.1', port])
    assert.equal(scope.client[0], '127.0.0.1')
    assert.ok(scope.headers.some(([header, value]) => header.$bytes === 'x-a' && value.$bytes === '1'))
    assert.deepEqual(Object.keys(scope.extensions).sort(), ['python_node', 'websocket.http.response'])
  })

  for (const [chosen, expected] of [['superchat', 'superchat'], [null, '']]) {
    test(`answers with the application's subprotocol: ${chosen}`, { timeout }, async t => {
      const { url } = await listen(t)
      // A client that offered some fails a handshake without.
      const client = connect(url(...accept({ subprotocol: chosen }), close()), chosen === null ? [] : ['chat', 'superchat'])
      await client.opened
      assert.equal(client.protocol, expected)
    })
  }

  test('answers with the headers of the accept: order, repeats and bytes kept', { timeout }, async t => {
    const { url } = await listen(t)
    const headers = [['x-b', '1'], ['set-cookie', 'a=\xff'], ['set-cookie', 'b']].map(pair => pair.map(bytes))
    const client = connect(url(...accept({ headers }), close()))
    const { rawHeaders } = await client.upgraded
    const lines = rawHeaders.map((each, index) => [each, rawHeaders[index + 1]]).filter((_, index) => index % 2 === 0)
    assert.deepEqual(lines.slice(-4).filter(([name]) => !name.startsWith('Sec-')), [['x-b', '1'], ['set-cookie', 'a=\xff'], ['set-cookie', 'b']])
  })

  test('leaves out what an accept says of the connection and of the handshake', { timeout }, async t => {
    const { url } = await listen(t)
    const own = [
      ['sec-websocket-accept', 'x'], ['sec-websocket-extensions', 'permessage-deflate'], ['upgrade', 'h2c'], ['connection', 'close'],
      ['keep-alive', 'timeout=5'], ['transfer-encoding', 'chunked'], ['content-length', '5'], ['x-kept', 'yes']
    ]
    const client = connect(url(...accept({ headers: own.map(pair => pair.map(bytes)) }), text('first'), close()), [], { perMessageDeflate: false })
    const { rawHeaders } = await client.upgraded
    const names = rawHeaders.filter((_, index) => index % 2 === 0).map(name => name.toLowerCase())
    assert.deepEqual(names, ['upgrade', 'connection', 'sec-websocket-accept', 'x-kept'])
    assert.deepEqual(await client.closed, [1000, ''])
    assert.deepEqual(client.messages, ['first'])
  })

  // Scenario: so many arguments are a RangeError, which ended the process.
  test('with 200000 headers of the application ends no more than the connection', { timeout }, async t => {
    const own = serve('websocket:accept_with_many_headers', { responseTimeout: 0 })
    t.after(() => own.close({ timeout: 1000 }))
    const { port } = await listen(t, { handler: own })
    const client = raw(port)
    client.write(handshake('/'))
    await client.until('\r\n\r\n')
    assert.match(String(client.received().subarray(0, 20)), /^HTTP\/1.1 101 /)
    client.destroy()
    assert.equal((await noted('accept_with_many_headers')).code, 1006)
  })

  test('that fails after the accept is a 500, a disconnect with 1006, and reported', { timeout }, async t => {
    class Failing {
      constructor () { throw new RangeError('no room') }
    }
    const { url, errors } = await listen(t, { WebSocket: Failing })
    const name = unique('end')
    const client = connect(url(...accept(), ['receive', name]))
    assert.equal((await client.refused).status, 500)
    assert.deepEqual(await noted(name), disconnect(1006))
    assert.deepEqual(errors.map(error => error.message), ['no room'])
  })

  for (const [what, options, extension] of [
    ['permessage-deflate', {}, 'permessage-deflate'],
    ['no compression for a client without', {}, ''],
    ['no compression where it is off', { perMessageDeflate: false }, '']
  ]) {
    test(`negotiates ${what}`, { timeout }, async t => {
      const { url } = await listen(t, options)
      const client = connect(url(...accept(), ['echo', unique('end')]), [], { perMessageDeflate: !what.includes('client without') })
      await client.opened
      assert.equal(client.extensions.split(';')[0], extension)
      const long = 'tea '.repeat(50_000)
      client.send(long)
      await once(client, 'message')
      assert.equal(client.messages[0], long)
      client.close()
      await client.closed
    })
  }

  for (const [what, headers, method, status, httpVersion] of [
    ['without a key', { 'Sec-WebSocket-Key': undefined }, 'GET', 400],
    ['with a malformed key', { 'Sec-WebSocket-Key': 'short' }, 'GET', 400],
    ['with a method other than GET', {}, 'PUT', 400],
    ['of another version', { 'Sec-WebSocket-Version': '12' }, 'GET', 426],
    ['with contradictory framing', { 'Content-Length': '0', 'content-length': 'x' }, 'GET', 400],
    ['with a body', { 'Content-Length': '3' }, 'GET', 400],
    ['with a chunked body', { 'Transfer-Encoding': 'chunked' }, 'GET', 400],
    ['of HTTP/1.0', {}, 'GET', 400, '1.0'],
    ['that offers a subprotocol twice', { 'Sec-WebSocket-Protocol': 'chat, chat' }, 'GET', 400],
    ['that offers an empty subprotocol', { 'Sec-WebSocket-Protocol': 'chat,' }, 'GET', 400],
    ['that offers a subprotocol which is no token', { 'Sec-WebSocket-Protocol': 'chat, super chat' }, 'GET', 400],
    ['with a malformed offer of extensions', { 'Sec-WebSocket-Extensions': ';;' }, 'GET', 400]
  ]) {
    test(`${what} is refused, and the application not asked`, { timeout }, async t => {
      const { port } = await listen(t)
      const name = unique('asked')
      const client = raw(port)
      client.write(handshake(script(['note', name]), headers, method, httpVersion))
      assert.match(await client.all, new RegExp(`^HTTP/1.1 ${status} `))
      assert.equal(await notedSoFar(name), null)
    })
  }

  test('of another version is told the one to upgrade to', { timeout }, async t => {
    const { port } = await listen(t)
    const client = raw(port)
    client.write(handshake('/', { 'Sec-WebSocket-Version': '12' }))
    const all = await client.all
    for (const line of ['Upgrade: websocket', 'Connection: Upgrade, close', 'Sec-WebSocket-Version: 13']) {
      assert.ok(all.toLowerCase().includes(`\r\n${line.toLowerCase()}\r\n`), `${line} is not in ${all}`)
    }
  })

  test('with a body of no bytes is one without', { timeout }, async t => {
    const { port } = await listen(t)
    const client = raw(port)
    client.write(handshake(script(...accept(), close()), { 'Content-Length': '0' }))
    await client.until('HTTP/1.1 101 ')
    client.destroy()
  })

  // Scenario: the 101 was written before the answer to the request before it, or the refusal threw into the server.
  for (const version of ['13', '12']) {
    test(`pipelined behind an unanswered request ends the connection: version ${version}`, { timeout }, async t => {
      const { port } = await listen(t)
      const name = unique('go')
      const client = raw(port)
      const before = `GET ${script(['note', `${name}.asked`], ['released', name], start(), body())} HTTP/1.1\r\nHost: a\r\n\r\n`
      client.write(Buffer.concat([Buffer.from(before), handshake(script(...accept()), { 'Sec-WebSocket-Version': version })]))
      assert.equal(await client.all, '')
      await release(name)
    })
  }
})

describe('messages', () => {
  test('are text or bytes in both directions, empty ones too', { timeout }, async t => {
    const { url } = await listen(t)
    const name = unique('end')
    const client = connect(url(...accept(), ['echo', name]))
    await client.opened
    const sent = ['täxt', Buffer.from([0, 255]), '', Buffer.alloc(0), '\u0000']
    for (const each of sent) client.send(each)
    while (client.messages.length < sent.length) await once(client, 'message')
    assert.deepEqual(client.messages, sent)
    client.close(1000, 'bye')
    assert.deepEqual(await client.closed, [1000, 'bye'])
    assert.deepEqual(await noted(name), disconnect(1000, 'bye'))
  })

  test('that came in one packet with the handshake follow the accept', { timeout }, async t => {
    const { port } = await listen(t)
    const [first, second, go] = [unique('first'), unique('second'), unique('go')]
    const client = raw(port)
    const path = script(['receive'], ['released', go], ['send', { type: 'websocket.accept' }], ['receive', first], ['receive', second])
    client.write(Buffer.concat([handshake(path), frame(1, 'one')]))
    // A second packet, before the accept as well.
    client.write(frame(2, 'two'))
    await turns()
    await release(go)
    assert.deepEqual(await noted(first), { type: 'websocket.receive', text: 'one' })
    assert.deepEqual(await noted(second), { type: 'websocket.receive', bytes: bytes('two') })
    await client.until('101')
    client.destroy()
  })

  // Scenario: more than what is kept before the accept stopped the connection, which nobody started again.
  test('of 64 KiB and more that came before the accept follow it', { timeout }, async t => {
    const { port, sockets } = await listen(t)
    const [asked, go, seen] = [unique('asked'), unique('go'), unique('seen')]
    const client = raw(port)
    client.write(handshake(script(['receive'], ['note', asked], ['released', go], ['send', { type: 'websocket.accept' }], ['swallow', seen], ['note', `${seen}.all`])))
    await noted(asked)
    const [socket] = sockets
    client.write(Buffer.concat(Array.from({ length: 1000 }, () => frame(2, Buffer.alloc(125)))))
    while (socket.bytesRead < 64 * 1024) await turns(1)
    await release(go)
    await client.until('HTTP/1.1 101 ')
    client.write(frame(8, [3, 232]))
    await noted(`${seen}.all`)
    assert.equal(await notedSoFar(seen), 1000)
  })

  for (const [what, end] of [['close', [frame(8, [3, 232])]], ['end', []]]) {
    // Scenario: `ws` is closing as soon as its client is, and what it decompressed after that was dropped.
    test(`that are compressed come before the client's ${what}`, { timeout }, async t => {
      const { port } = await listen(t)
      const seen = unique('seen')
      const client = raw(port)
      client.write(handshake(script(...accept(), ['swallow', seen], ['note', `${seen}.all`]), DEFLATE))
      await client.until('\r\n\r\n')
      client.end(Buffer.concat([...Array.from({ length: 50 }, (_, index) => deflated(`message ${index}`)), ...end]))
      await noted(`${seen}.all`)
      assert.equal(await notedSoFar(seen), 50)
    })
  }

  test('of a client are held back while the application does not receive', { timeout }, async t => {
    const { url, sockets } = await listen(t)
    const [go, seen] = [unique('go'), unique('seen')]
    const client = connect(url(...accept(), ['released', go], ['swallow', seen]), [], { perMessageDeflate: false })
    await client.opened
    const [socket] = sockets
    const count = 500
    const message = Buffer.alloc(64 * 1024, 'x')
    let written = 0
    for (let sent = 0; sent < count; sent++) client.send(message, () => { written++ })
    // Until the system's buffers are full, which takes more than the bridge keeps.
    for (let last = -1; last !== socket.bytesRead;) {
      last = socket.bytesRead
      await turns(50)
    }
    assert.ok(socket.bytesRead < 1024 * 1024, `${socket.bytesRead} bytes were read from the network`)
    assert.ok(written < count)
    await release(go)
    client.close()
    await client.closed
    assert.equal(await noted(seen) > 0, true)
    while (await notedSoFar(seen) < count) await turns()
    assert.equal(await notedSoFar(seen), count)
  })

  test('of the application are held back while the client does not read', { timeout }, async t => {
    const { url } = await listen(t)
    const name = unique('sent')
    const count = 1000
    const message = { type: 'websocket.send', bytes: { $zeros: 64 * 1024 } }
    const client = connect(url(...accept(), ['repeat', count, name, message], close()), [], { perMessageDeflate: false })
    await client.opened
    client.pause()
    await noted(name)
    let taken = -1
    for (let now = await notedSoFar(name); now !== taken; now = await notedSoFar(name)) {
      taken = now
      await turns(50)
    }
    assert.ok(taken < count / 2, `${taken} messages were taken`)
    client.resume()
    assert.deepEqual(await client.closed, [1000, ''])
    assert.equal(client.messages.length, count)
    assert.equal(await notedSoFar(name), count)
  })

  test('above 16 MiB close the WebSocket with 1009', { timeout }, async t => {
    const { url } = await listen(t)
    const [first, name] = [unique('first'), unique('end')]
    const client = connect(url(...accept(), ['receive'], ['note', first], ['echo', name]), [], { perMessageDeflate: false })
    await client.opened
    client.send(Buffer.alloc(16 * 2 ** 20))
    await noted(first)
    client.send(Buffer.alloc(16 * 2 ** 20 + 1))
    assert.deepEqual(await client.closed, [1009, ''])
    assert.deepEqual(await noted(name), disconnect(1009))
  })

  test('above maxPayload close the WebSocket with 1009, compressed ones too', { timeout }, async t => {
    const { url } = await listen(t, { maxPayload: 1000 })
    const name = unique('end')
    const client = connect(url(...accept(), ['echo', name]))
    await client.opened
    client.send('x'.repeat(1000))
    await once(client, 'message')
    client.send('x'.repeat(100_000))
    assert.deepEqual(await client.closed, [1009, ''])
    assert.deepEqual(await noted(name), disconnect(1009))
  })

  test('above the handler\'s maxMessageSize close the WebSocket with 1009', { timeout }, async t => {
    const small = serve('script:app', { responseTimeout: 0, maxMessageSize: 10 })
    t.after(() => small.close({ timeout: 1000 }))
    const { url, errors } = await listen(t, { handler: small })
    const client = connect(url(...accept(), ['echo', unique('end')]))
    await client.opened
    client.send('x'.repeat(10))
    await once(client, 'message')
    client.send('x'.repeat(11))
    assert.deepEqual(await client.closed, [1009, ''])
    assert.deepEqual(errors, [])
  })

  for (const [what, code, bad] of [
    ['of invalid UTF-8', 1007, () => frame(1, [0xff])],
    ['that are compressed, and are not', 1007, () => frame(0x41, [0xff, 0xff])],
    ['of a reserved opcode', 1002, () => frame(3, 'a')],
    ['that are not masked', 1002, () => Buffer.from([0x81, 1, 0x61])]
  ]) {
    test(`${what} close the WebSocket with ${code} on both sides`, { timeout }, async t => {
      const { port } = await listen(t)
      const name = unique('end')
      const client = raw(port)
      client.write(handshake(script(...accept(), ['echo', name]), { 'Sec-WebSocket-Extensions': 'permessage-deflate' }))
      await client.until('\r\n\r\n')
      client.write(bad())
      assert.deepEqual([...Buffer.from(await client.all, 'latin1').subarray(-4)], [0x88, 2, code >> 8, code & 0xff])
      assert.deepEqual(await noted(name), disconnect(code))
    })
  }
})

// Scenario: `ws` went on with what waited behind a compressed message, and threw into the event loop.
test('chunks behind a fault of the client do not end the process', { timeout }, async t => {
  const { port, sockets } = await listen(t)
  const name = unique('end')
  const client = raw(port)
  // Not echoed: that would raise where the connection has ended before.
  const steps = [...accept(), ['receive', `${name}.message`], ['receive', name]]
  client.write(handshake(script(...steps), { 'Sec-WebSocket-Extensions': 'permessage-deflate' }))
  await client.until('\r\n\r\n')
  const [socket] = sockets
  // As they would come from the network while the first is decompressed.
  for (const chunk of [deflated('a'), frame(1, [0xff]), frame(1, 'more')]) socket.emit('data', chunk)
  await client.all
  assert.deepEqual(await noted(name), disconnect(1007))
})

describe('a close', () => {
  for (const [code, reason] of [[1000, ''], [1001, 'gone'], [3000, 'x'.repeat(123)], [4999, 'grün']]) {
    test(`of the application has its code and reason: ${code} ${reason.slice(0, 5)}`, { timeout }, async t => {
      const { url } = await listen(t)
      const name = unique('end')
      const client = connect(url(...accept(), close({ code, reason }), ['receive', name]))
      assert.deepEqual(await client.closed, [code, reason])
      assert.deepEqual(await noted(name), disconnect(code, reason))
    })

    test(`of the client has its code and reason: ${code} ${reason.slice(0, 5)}`, { timeout }, async t => {
      const { url } = await listen(t)
      const name = unique('end')
      const client = connect(url(...accept(), ['echo', name]))
      await client.opened
      client.close(code, reason)
      assert.deepEqual(await client.closed, [code, reason])
      assert.deepEqual(await noted(name), disconnect(code, reason))
    })
  }

  test('of the client without a code is 1005', { timeout }, async t => {
    const { url } = await listen(t)
    const name = unique('end')
    const client = connect(url(...accept(), ['echo', name]))
    await client.opened
    client.close()
    await client.closed
    assert.deepEqual(await noted(name), disconnect(1005))
  })

  test('of the application with 1005 is one with 1000', { timeout }, async t => {
    const { url } = await listen(t)
    assert.deepEqual(await connect(url(...accept(), close({ code: 1005 }))).closed, [1000, ''])
  })

  test('by the end of the application is 1000', { timeout }, async t => {
    const { url } = await listen(t)
    const client = connect(url(...accept(), text('last')))
    assert.deepEqual(await client.closed, [1000, ''])
    assert.deepEqual(client.messages, ['last'])
  })

  test('by an exception is 1011, and reported with its traceback', { timeout }, async t => {
    const { url, errors } = await listen(t)
    const client = connect(url(...accept(), binary('last'), ['fail', 'broken']))
    assert.deepEqual(await client.closed, [1011, ''])
    assert.deepEqual(client.messages, [Buffer.from('last')])
    assert.equal(errors.length, 1)
    assert.equal(errors[0].code, 'ERR_PYTHON_EXCEPTION')
    assert.match(errors[0].traceback, /LookupError: broken/)
  })

  test('by a broken connection is 1006', { timeout }, async t => {
    const { url, errors } = await listen(t)
    const name = unique('end')
    const client = connect(url(...accept(), ['echo', name]))
    await client.opened
    client.terminate()
    assert.deepEqual(await noted(name), disconnect(1006))
    assert.deepEqual(errors, [])
  })

  // Scenario: the application was told when the connection had ended, up to 30 s later.
  for (const [what, code, sent] of [
    ['a close frame', 1000, frame(8, [3, 232])],
    ['a frame that breaks the protocol', 1002, Buffer.from([0x81, 1, 0x61])]
  ]) {
    test(`by ${what} is told at once, though the client does not end its connection`, { timeout: 20_000 }, async t => {
      const { port } = await listen(t, { closeTimeout: 2 ** 31 - 1 })
      const name = unique('end')
      const client = raw(port)
      client.write(handshake(script(...accept(), ['receive', name], ['attempt', `${name}.send`, { type: 'websocket.send', text: 'late' }])))
      await client.until('\r\n\r\n')
      client.pause()
      client.write(sent)
      assert.deepEqual(await noted(name), disconnect(code))
      assert.ok((await noted(`${name}.send`)).includes('OSError'))
    })
  }

  test('of ours that the client does not answer holds the application back', { timeout }, async t => {
    const { port, attachments: [attachment] } = await listen(t)
    const [asked, go, sent] = [unique('asked'), unique('go'), unique('sent')]
    const message = { type: 'websocket.send', bytes: { $zeros: 64 * 1024 } }
    const client = raw(port)
    client.write(handshake(script(...accept(), ['note', asked], ['released', go], ['repeat', 1000, sent, message])))
    await client.until('\r\n\r\n')
    await noted(asked)
    attachment.close()
    await client.until(Buffer.from([0x88, 2, 1001 >> 8, 1001 & 0xff]))
    await release(go)
    await noted(sent)
    assert.ok(await settled(sent) < 100)
  })

  // Scenario: the WebSocket was paused, so neither the messages in its buffers nor its end were seen.
  test('by a client whose messages nobody received comes after them', { timeout }, async t => {
    const { url } = await listen(t)
    const [go, seen] = [unique('go'), unique('seen')]
    const client = connect(url(...accept(), ['released', go], ['swallow', seen]), [], { perMessageDeflate: false })
    await client.opened
    for (let sent = 0; sent < 10; sent++) client.send(Buffer.alloc(20 * 1024))
    client.close(4000, 'enough')
    await turns()
    await release(go)
    assert.deepEqual(await client.closed, [4000, 'enough'])
    while (await notedSoFar(seen) < 10) await turns()
    assert.equal(await notedSoFar(seen), 10)
  })

  // Scenario: the WebSocket stayed paused, and the client's answer to the close was not read for 30 s.
  test('of an application that received nothing is answered', { timeout }, async t => {
    const { url, sockets } = await listen(t)
    const go = unique('go')
    const client = connect(url(...accept(), ['released', go], close({ code: 4002 })), [], { perMessageDeflate: false })
    await client.opened
    const ended = once([...sockets][0], 'close')
    for (let sent = 0; sent < 100; sent++) client.send(Buffer.alloc(64 * 1024))
    await turns()
    await release(go)
    assert.deepEqual(await client.closed, [4002, ''])
    await ended
  })
})

describe('a refusal', () => {
  test('is a 403', { timeout }, async t => {
    const { url, sockets } = await listen(t)
    const client = connect(url(['receive'], close()))
    const { status, headers, body: content } = await client.refused
    assert.deepEqual([status, content, headers.connection], [403, '', 'close'])
    await Promise.all([...sockets].map(socket => once(socket, 'close')))
  })

  const denial = (type, fields) => ['send', { type: `websocket.http.response.${type}`, ...fields }]

  test('may be a response of the application\'s own', { timeout }, async t => {
    const { url } = await listen(t)
    const headers = [['content-type', 'text/plain'], ['set-cookie', 'a'], ['set-cookie', 'b'], ['x-latin', '\xe9']].map(pair => pair.map(bytes))
    const client = connect(url(['receive'], denial('start', { status: 401, headers }), denial('body', { body: bytes('who?') })))
    const { status, headers: received, body: content } = await client.refused
    assert.deepEqual([status, content], [401, 'who?'])
    assert.deepEqual(received['set-cookie'], ['a', 'b'])
    assert.equal(received['x-latin'], '\xe9')
    assert.equal(received.connection, 'close')
  })

  test('may be streamed, and is held back while the client does not read', { timeout }, async t => {
    const { port } = await listen(t)
    const name = unique('sent')
    const count = 1000
    const steps = [
      ['receive'], denial('start', { status: 503, headers: [] }),
      ['repeat', count, name, { type: 'websocket.http.response.body', body: { $zeros: 64 * 1024 }, more_body: true }],
      denial('body', { body: bytes('end') })
    ]
    const req = http.get({
      port, host: '127.0.0.1', path: script(...steps), agent: false,
      headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': KEY }
    })
    const [res] = await once(req, 'response')
    assert.equal(res.statusCode, 503)
    await noted(name)
    let taken = -1
    for (let now = await notedSoFar(name); now !== taken; now = await notedSoFar(name)) {
      taken = now
      await turns(50)
    }
    assert.ok(taken < count / 2, `${taken} chunks were taken`)
    const content = await collect(res)
    assert.equal(content.length, count * 64 * 1024 + 3)
    assert.equal(await notedSoFar(name), count)
  })

  test('that the client does not wait for ends the application\'s sending', { timeout }, async t => {
    const { port, errors } = await listen(t)
    const name = unique('sent')
    const steps = [
      ['receive'], denial('start', { status: 503, headers: [] }), denial('body', { body: bytes('first'), more_body: true }), ['note', name],
      ['forever', `${name}.cancelled`]
    ]
    const client = raw(port)
    client.write(handshake(script(...steps)))
    await client.until('first')
    client.destroy()
    await noted(`${name}.cancelled`)
    assert.deepEqual(errors, [])
  })

  // Scenario: a second response was put on the connection, which threw into the event loop.
  test('that breaks off cuts the connection, and is reported', { timeout }, async t => {
    const { port, errors } = await listen(t)
    const go = unique('go')
    const steps = [
      ['receive'], denial('start', { status: 503, headers: [] }), denial('body', { body: bytes('first'), more_body: true }),
      ['released', go], ['fail', 'broken']
    ]
    const client = raw(port)
    client.write(handshake(script(...steps)))
    await client.until('first')
    await release(go)
    const all = await client.all
    assert.match(all, /first/)
    assert.doesNotMatch(all, /\r\n0\r\n\r\n$/)
    assert.deepEqual(errors.map(error => error.code), ['ERR_PYTHON_EXCEPTION'])
  })

  for (const [what, length, parts] of [
    ['shorter', 10, ['short']], ['longer', 5, ['12345', '6']], ['longer in its first part', 3, ['1234']], ['empty', 1, []]
  ]) {
    test(`whose body is ${what} than its content-length cuts the connection, and is reported`, { timeout }, async t => {
      const { port, errors } = await listen(t)
      const client = raw(port)
      client.write(handshake(script(
        ['receive'], denial('start', { status: 401, headers: [['content-length', String(length)].map(bytes)] }),
        ...parts.map(each => denial('body', { body: bytes(each), more_body: true })), denial('body')
      )))
      const [, content = ''] = (await client.all).split('\r\n\r\n')
      assert.ok(content.length <= length, content)
      assert.deepEqual(errors.map(error => error.code), ['ERR_PYTHON_CONTENT_LENGTH_MISMATCH'])
    })
  }

  test('may have the content-length of its body, or of one that a 304 leaves out', { timeout }, async t => {
    const { url, errors } = await listen(t)
    for (const [status, sent] of [[401, 'who?'], [304, '']]) {
      const headers = [['content-length', '4'].map(bytes)]
      const client = connect(url(['receive'], denial('start', { status, headers }), denial('body', { body: bytes(sent) })))
      const { headers: received, body: content } = await client.refused
      assert.deepEqual([received['content-length'], content], ['4', sent])
    }
    assert.deepEqual(errors, [])
  })

  for (const [what, steps, code] of [
    ['that raises', [['receive'], ['fail', 'broken']], 'ERR_PYTHON_EXCEPTION'],
    ['that returns', [['receive']], 'ERR_PYTHON_NO_RESPONSE']
  ]) {
    test(`of an application ${what} before the accept is a 500, and reported`, { timeout }, async t => {
      const { url, errors } = await listen(t)
      const { status, body: content } = await connect(url(...steps)).refused
      assert.equal(status, 500)
      if (code === 'ERR_PYTHON_EXCEPTION') assert.match(content, /LookupError: broken/)
      assert.deepEqual(errors.map(error => error.code), [code])
    })
  }

  test('shows no traceback with exposeErrors: false', { timeout }, async t => {
    const { url } = await listen(t, { exposeErrors: false })
    const { status, body: content } = await connect(url(['receive'], ['fail', 'secret'])).refused
    assert.deepEqual([status, content], [500, 'Internal Server Error\n'])
  })

  test('may be answered by onError', { timeout }, async t => {
    const { url } = await listen(t, {
      onError (_error, _req, res, { status }) {
        res.writeHead(status + 2, { 'x-own': 'yes' })
        setImmediate(() => res.end('mine'))
        return true
      }
    })
    const { status, headers, body: content } = await connect(url(['receive'], ['fail', 'broken'])).refused
    assert.deepEqual([status, headers['x-own'], content], [502, 'yes', 'mine'])
  })

  test('of a handler that is closed is a 503', { timeout }, async t => {
    const closed = serve('script:app')
    const { url } = await listen(t, { handler: closed })
    await closed.close()
    assert.equal((await connect(url(...accept())).refused).status, 503)
  })
})

describe('a client that leaves before the accept', () => {
  for (const [what, leave] of [
    ['by a reset', socket => socket.resetAndDestroy()],
    ['by an end', socket => socket.end()],
    ['by an end, after a message', socket => socket.end(frame(1, 'early'))]
  ]) {
    test(`${what} is a disconnect with 1006, and no error`, { timeout }, async t => {
      const { port, errors, sockets } = await listen(t)
      const [asked, end] = [unique('asked'), unique('end')]
      const client = raw(port)
      client.write(handshake(script(['receive'], ['note', asked], ['receive', end])))
      await noted(asked)
      const ended = new Promise(resolve => [...sockets][0].on('close', resolve))
      leave(client)
      assert.deepEqual(await noted(end), disconnect(1006))
      await ended
      assert.deepEqual(errors, [])
    })
  }
})

describe('keep-alive', () => {
  test('pings, and a client that answers stays', { timeout }, async t => {
    const { url } = await listen(t, { pingInterval: 50 })
    const client = connect(url(...accept(), ['echo', unique('end')]))
    let pings = 0
    client.on('ping', () => { pings++ })
    while (pings < 5) await once(client, 'ping')
    client.send('here')
    await once(client, 'message')
    client.close()
    assert.deepEqual(await client.closed, [1005, ''])
  })

  test('cuts a client that answers no ping: the application sees 1006', { timeout }, async t => {
    const { url } = await listen(t, { pingInterval: 50 })
    const name = unique('end')
    const client = connect(url(...accept(), ['echo', name]), [], { autoPong: false })
    await client.opened
    assert.deepEqual(await client.closed, [1006, ''])
    assert.deepEqual(await noted(name), disconnect(1006))
  })

  // Scenario: what the application had no time for could not be read, the pongs behind it neither.
  test('does not cut a client because the application is slow', { timeout }, async t => {
    const { url } = await listen(t, { pingInterval: 20 })
    const [go, seen] = [unique('go'), unique('seen')]
    const client = connect(url(...accept(), ['released', go], ['swallow', seen]), [], { perMessageDeflate: false })
    await client.opened
    for (let sent = 0; sent < 100; sent++) client.send(Buffer.alloc(64 * 1024))
    await new Promise(resolve => setTimeout(resolve, 300))
    assert.equal(client.readyState, WebSocket.OPEN)
    await release(go)
    client.close(4000)
    assert.deepEqual(await client.closed, [4000, ''])
    while (await notedSoFar(seen) < 100) await turns()
  })

  // Scenario: the pongs had come, but were read after the next ping was due.
  test('does not cut a client because this thread is busy', { timeout }, async t => {
    const { url } = await listen(t, { pingInterval: 50 })
    const end = unique('end')
    const client = new Worker(new URL('fixtures/websocket-client.mjs', import.meta.url), { workerData: url(...accept(), ['echo', end]) })
    t.after(() => client.terminate())
    await once(client, 'message')
    for (let round = 0; round < 10; round++) {
      const until = performance.now() + 120
      while (performance.now() < until);
      await new Promise(setImmediate)
    }
    client.postMessage('close')
    assert.deepEqual(await noted(end), disconnect(4000))
  })

  test('goes on where a server listens again', { timeout }, async t => {
    const { server, url } = await listen(t, { pingInterval: 50 })
    const path = url(...accept(), ['echo', unique('end')]).replace(/^.*?(?=\/script)/, '')
    for (let round = 0; round < 2; round++) {
      const client = connect(`ws://127.0.0.1:${server.address().port}${path}`)
      await once(client, 'ping')
      client.terminate()
      server.close()
      await once(server, 'close')
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    }
  })

  for (const pingInterval of [0, Infinity]) {
    test(`is off with pingInterval: ${pingInterval}`, { timeout }, async t => {
      const { url } = await listen(t, { pingInterval })
      const client = connect(url(...accept(), ['echo', unique('end')]))
      client.on('ping', () => assert.fail('a ping'))
      await client.opened
      await new Promise(resolve => setTimeout(resolve, 100))
      assert.equal(client.readyState, WebSocket.OPEN)
      client.terminate()
    })
  }
})

describe('which handler serves', () => {
  test('is decided by the path', { timeout }, async t => {
    const { port } = await listen(t, undefined, undefined, [{}, { path: '/a' }, { path: '/b', perMessageDeflate: false }])
    for (const [path, extension] of [['/a', 'permessage-deflate'], ['/b', ''], ['/c', 'permessage-deflate']]) {
      const client = connect(`ws://127.0.0.1:${port}${script(...accept(), text(path), close()).replace('/script', path)}`)
      assert.deepEqual(await client.closed, [1000, ''])
      assert.deepEqual(client.messages, [path])
      assert.equal(client.extensions.split(';')[0], extension)
    }
  })

  test('is decided by the path of a target that names the server too', { timeout }, async t => {
    const { port } = await listen(t, { path: '/script' })
    for (const [target, status] of [[`http://example.test${script(...accept(), close())}`, 101], ['HTTP://example.test?/script', 404]]) {
      const client = raw(port)
      client.write(handshake(target))
      await client.until(`HTTP/1.1 ${status} `)
      client.destroy()
    }
  })

  test('two applications on two paths', { timeout }, async t => {
    const other = serve('lifespan:complete')
    t.after(() => other.close())
    const { port } = await listen(t, undefined, undefined, [{ path: '/script' }, { path: '/other', handler: other }])
    const first = connect(`ws://127.0.0.1:${port}${script(...accept(), text('script'), close())}`)
    const second = connect(`ws://127.0.0.1:${port}/other?query`)
    await Promise.all([first.closed, second.closed])
    assert.deepEqual(first.messages, ['script'])
    assert.match(second.messages[0], /'text': 'kept'/)
  })

  test('is nobody for another path: 404', { timeout }, async t => {
    const { port } = await listen(t, undefined, undefined, [{ path: '/a' }, { path: '/b' }])
    const client = connect(`ws://127.0.0.1:${port}/c`)
    assert.equal((await client.refused).status, 404)
  })

  test('is left to the listeners of others for another path', { timeout }, async t => {
    const { port, server } = await listen(t, { path: '/a' })
    server.on('upgrade', (req, socket) => {
      if (req.url === '/c') socket.end('HTTP/1.1 418 Theirs\r\nConnection: close\r\n\r\n')
    })
    const client = connect(`ws://127.0.0.1:${port}/c`)
    assert.equal((await client.refused).status, 418)
  })

  for (const [what, answer] of [
    ['answered', socket => socket.end('HTTP/1.1 401 Theirs\r\nContent-Length: 0\r\n\r\n')], ['cut', socket => socket.destroy()]
  ]) {
    test(`is nobody where a listener before has ${what} it`, { timeout }, async t => {
      const { port, server, errors } = await listen(t)
      server.prependListener('upgrade', (_req, socket) => answer(socket))
      const name = unique('asked')
      const client = raw(port)
      client.write(handshake(script(['note', name])))
      assert.match(await client.all, what === 'cut' ? /^$/ : /^HTTP\/1.1 401 Theirs\r\n/)
      await turns()
      assert.equal(await notedSoFar(name), null)
      assert.deepEqual(errors, [])
    })
  }

  // Scenario: Java's HttpClient and `curl --http2` offer h2c with each request.
  describe('an upgrade to another protocol is ignored (RFC 9110, 7.8)', () => {
    const plain = { Connection: undefined, Upgrade: undefined, 'Sec-WebSocket-Version': undefined, 'Sec-WebSocket-Key': undefined }
    const offer = { ...plain, Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABk' }

    test('the connection goes on, with bodies both ways, and is one connection to listeners', { timeout }, async t => {
      const { port, server } = await listen(t)
      let connections = 0
      let requests = 0
      server.on('connection', () => { connections++ })
      server.on('request', () => { requests++ })
      const warned = []
      const warn = warning => warned.push(warning.name)
      process.on('warning', warn)
      t.after(() => process.off('warning', warn))
      const client = raw(port)
      for (let count = 1; count <= 15; count++) {
        const name = unique('body')
        const head = handshake(script(['receive', name], start(), body(`answer ${count}`)), { ...offer, 'Content-Length': '3' }, 'POST')
        client.write(Buffer.concat([head, Buffer.from('abc')]))
        await client.until(`answer ${count}`)
        assert.deepEqual(await noted(name), { type: 'http.request', body: bytes('abc'), more_body: false })
      }
      // A body in chunks, with the next request in the same packet, which Node 26 loses by itself.
      const isApart = Number(process.versions.node.split('.', 1)[0]) >= 25
      const name = unique('scope')
      const chunked = handshake(script(['scope_as', name], ['receive'], start(), body('chunked')),
        { ...offer, Connection: 'Upgrade, x-a', 'X-A': 'caf\xe9', 'Transfer-Encoding': 'chunked' }, 'POST')
      const last = handshake(script(start(), body('last')), { ...plain, Connection: 'close' })
      client.write(Buffer.concat([chunked, Buffer.from('3\r\nabc\r\n0\r\n\r\n'), ...(isApart ? [] : [last])]))
      if (isApart) {
        await client.until('chunked')
        client.write(last)
      }
      const all = await client.all
      assert.match(all, /chunkedHTTP\/1\.1 200 OK\r\n[^]*\r\nConnection: close\r\n[^]*last$/)
      const { headers } = await noted(name)
      const fields = Object.fromEntries(headers.map(([field, value]) => [field.$bytes, value.$bytes]))
      // What is Node's own is as the client sent it.
      const offered = isApart ? { upgrade: 'h2c', 'http2-settings': 'AAMAAABk', connection: 'Upgrade, x-a' } : { connection: 'x-a' }
      assert.deepEqual(fields, { host: 'example.test', ...offered, 'x-a': 'caf\xe9', 'transfer-encoding': 'chunked' })
      assert.deepEqual([connections, requests, warned], [1, 17, []])
    })

    test('a long response is sent to its end', { timeout }, async t => {
      const { port } = await listen(t)
      const client = raw(port)
      client.write(handshake(script(start(), ['repeat', 64, unique('sent'), { type: 'http.response.body', body: { $zeros: 65_536 }, more_body: true }], body('end')),
        { ...offer, Connection: 'Upgrade, close' }))
      assert.ok((await client.all).length > 64 * 65_536)
    })

    test('a client that leaves is noticed', { timeout }, async t => {
      const { port } = await listen(t)
      const name = unique('gone')
      const client = raw(port)
      client.write(handshake(script(start(), part('first'), ['receive'], ['receive', name]), offer))
      await client.until('first')
      client.destroy()
      assert.deepEqual(await noted(name), { type: 'http.disconnect' })
    })

    test('the timeouts of the server hold', { timeout }, async t => {
      const { port, server } = await listen(t)
      server.keepAliveTimeout = 50
      const client = raw(port)
      client.write(handshake(script(start(), body('answer')), offer))
      assert.match(await client.all, /^HTTP\/1\.1 200 /)
    })

    // Scenario: Node keeps a thousand header fields. Without the length, what the client sends as a body would be requests.
    test('a head of which Node has not kept all is refused', { timeout }, async t => {
      const { port, server } = await listen(t, undefined, () => assert.fail('a request'))
      for (const [limit, count] of [[null, 1000], [5, 5]]) {
        server.maxHeadersCount = limit
        const client = raw(port)
        const hidden = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n'
        client.write(`POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n${'a: b\r\n'.repeat(count)}Content-Length: ${hidden.length}\r\n\r\n${hidden}`)
        const all = await client.all
        assert.match(all, /^HTTP\/1\.1 431 /)
        assert.equal(all.match(/HTTP\/1\.1/g).length, 1)
      }
    })

    for (const protocol of ['https', 'http2, with allowHTTP1']) {
      test(`over TLS: ${protocol}`, { timeout }, async t => {
        const make = protocol === 'https' ? https.createServer : http2.createSecureServer
        const server = make({ ...certificates.server, allowHTTP1: true }, createRequestListener(handler))
        attachWebSocket(server, handler)
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
        t.after(() => server.close())
        const client = tls.connect({ port: server.address().port, host: '127.0.0.1', rejectUnauthorized: false })
        const name = unique('body')
        const head = handshake(script(['receive', name], start(), body('answer')), { ...offer, Connection: 'Upgrade, close', 'Content-Length': '3' }, 'POST')
        client.write(Buffer.concat([head, Buffer.from('abc')]))
        assert.match(String(await collect(client)), /^HTTP\/1\.1 200 [^]*answer$/)
        assert.deepEqual(await noted(name), { type: 'http.request', body: bytes('abc'), more_body: false })
      })
    }
  })
})

describe('the end', () => {
  test('of the attachment closes with 1001', { timeout }, async t => {
    const { url, port, attachments: [attachment] } = await listen(t)
    const name = unique('end')
    const client = connect(url(...accept(), ['echo', name]))
    await client.opened
    attachment.close()
    assert.deepEqual(await client.closed, [1001, ''])
    assert.deepEqual(await noted(name), disconnect(1001))
    // Without a listener of 'upgrade', a plain request again.
    const res = await fetch(`http://127.0.0.1:${port}${script(start(), body('plain'))}`)
    assert.equal(await res.text(), 'plain')
  })

  test('of the handler closes with 1001, one that is accepted meanwhile too', { timeout }, async t => {
    const ending = serve('script:app', { responseTimeout: 0 })
    const { url, errors } = await listen(t, { handler: ending })
    const [name, go] = [unique('end'), unique('go')]
    const client = connect(url(...accept(), ['echo', name]))
    const late = connect(url(['receive'], ['note', `${go}.asked`], ['released', go], ['send', { type: 'websocket.accept' }], ['echo', `${name}.late`]))
    await client.opened
    await noted(`${go}.asked`)
    const ended = ending.close()
    assert.deepEqual(await client.closed, [1001, ''])
    await release(go)
    assert.deepEqual(await late.closed, [1001, ''])
    assert.deepEqual(await noted(name), disconnect(1001))
    assert.deepEqual(await noted(`${name}.late`), disconnect(1001))
    await ended
    assert.deepEqual(errors, [])
  })
})

// Scenario: it was accepted, although requests were refused, and ended by force.
test('a WebSocket that comes while the handler closes is a 503', { timeout }, async t => {
  const ending = serve('script:app', { responseTimeout: 0 })
  const { url } = await listen(t, { handler: ending })
  const go = unique('go')
  const running = ending.handleRequest({ url: script(['note', `${go}.asked`], ['released', go], start(), body()) })
  await noted(`${go}.asked`)
  const ended = ending.close()
  assert.equal((await connect(url(...accept())).refused).status, 503)
  await release(go)
  await Promise.all([running, ended])
})

describe('attachWebSocket', () => {
  for (const [what, args] of [
    ['no server', [{}, handler]], ['no handler', [http.createServer(), {}]],
    ...[
      null, 5, 'a', { onError: 'no function' }, { exposeErrors: 'yes' }, { path: 5 }, { path: 'a' }, { path: '/a?b' },
      { pingInterval: '20' }, { pingInterval: -1 }, { pingInterval: NaN }, { pingInterval: 2 ** 31 },
      ...['handleProtocols', 'verifyClient'].map(name => ({ [name]: () => true })),
      { port: 0 }, { host: '127.0.0.1' }, { backlog: 5 }, { server: {} }, { noServer: true },
      { maxPayload: '20' }, { maxPayload: -1 }, { maxPayload: 1.5 }, { maxPayload: NaN }
    ].map(options => [inspect(options), [http.createServer(), handler, options]])
  ]) {
    test(`checks its arguments: ${what}`, { timeout }, () => {
      assert.throws(() => attachWebSocket(...args), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    })
  }

  test('without the package ws throws ERR_PYTHON_WS_NOT_FOUND', { timeout }, async () => {
    const { ended, stdout, stderr } = await runFixture('no-ws.mjs', [])
    assert.deepEqual([ended, stderr, stdout.trim()], [0, '', 'ERR_PYTHON_WS_NOT_FOUND MODULE_NOT_FOUND'])
  })
})

describe('other clients', () => {
  const clients = [['undici', UndiciWebSocket], ['Node', globalThis.WebSocket]]
  for (const [name, Client] of clients) {
    test(`the WebSocket of ${name}`, { timeout, skip: Client === undefined && 'this Node has none' }, async t => {
      const { url } = await listen(t)
      const end = unique('end')
      const client = new Client(url(...accept({ subprotocol: 'superchat' }), ['echo', end]), ['chat', 'superchat'])
      const next = type => new Promise(resolve => client.addEventListener(type, resolve, { once: true }))
      client.binaryType = 'arraybuffer'
      await next('open')
      assert.equal(client.protocol, 'superchat')
      client.send('täxt')
      assert.equal((await next('message')).data, 'täxt')
      client.send(new Uint8Array([0, 255]))
      assert.deepEqual(new Uint8Array((await next('message')).data), new Uint8Array([0, 255]))
      client.close(4001, 'done')
      const { code, reason, wasClean } = await next('close')
      assert.deepEqual([code, reason, wasClean], [4001, 'done', true])
      assert.deepEqual(await noted(end), disconnect(4001, 'done'))
    })
  }

  test('the library websockets of Python', { timeout }, async t => {
    const { url } = await listen(t)
    const end = unique('end')
    const file = fileURLToPath(new URL('fixtures/websockets_client.py', import.meta.url))
    const target = url(...accept({ subprotocol: 'superchat' }), ['echo', end])
    const { stdout } = await promisify(execFile)(executable, [file, target], { timeout: timeout / 2 })
    assert.deepEqual(JSON.parse(stdout), {
      subprotocol: 'superchat', echoed: ['str', 'bytes', 'str', 'bytes', 'str'], joined: 'abc', close: [4001, 'done']
    })
    assert.deepEqual(await noted(end), disconnect(4001, 'done'))
  })
})

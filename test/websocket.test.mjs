// WebSockets by handleStream, message by message (asgiref, specs/www.rst, "WebSocket"; docs/extensions.rst, "Websocket
// Denial Response"). The surface of the standard's class is tested in connect.test.mjs.

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { Request } from '../index.js'
import { collect, failure, noted, notedSoFar, release, serve, timeout, turns, watch } from './fixtures.mjs'
import { accept, binary, body, bytes, close, pairs, script, start, text, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0, highWaterMark: 65_536 })

after(() => handler.close({ timeout: 1000 }))

/** @returns {{ request: Request, response: Promise<import('../index.js').Response> }} */
function open (steps, fields, options) {
  const request = new Request({ url: script(...steps), websocket: true, ...fields })
  return { request, response: handler.handleStream(request, options) }
}

async function scopeOf (fields, options) {
  const name = unique('scope')
  const { response } = open([['scope_as', name], ['receive'], close()], fields, options)
  await (await response).next()
  return noted(name)
}

const OS_ERROR = ['ClientDisconnected', 'OSError', 'Exception', 'BaseException', 'object']

describe('the scope', () => {
  test('of a WebSocket has these keys', { timeout }, async () => {
    const scope = await scopeOf({
      headers: [['Host', 'example.com'], ['X-A', '1'], ['x-a', '2'], ['Sec-WebSocket-Protocol', 'chat, superchat']],
      socket: { remoteAddress: '10.0.0.1', remotePort: 50000, localAddress: '10.0.0.2', localPort: 80 },
      rootPath: '/mount',
      extensions: { tls: { tls_version: 0x0304 } },
      state: { user: 'ä' }
    })
    const { path, raw_path: rawPath, query_string: query, extensions, headers, ...rest } = scope
    assert.equal(path, '/mount/script')
    assert.deepEqual(rawPath, bytes('/mount/script'))
    assert.ok(query.$bytes.includes('scope_as'))
    assert.deepEqual(Object.keys(extensions).sort(), ['python_node', 'tls', 'websocket.http.response'])
    assert.deepEqual(extensions['websocket.http.response'], {})
    assert.deepEqual(headers.slice(0, 4), [
      [bytes('host'), bytes('example.com')],
      [bytes('x-a'), bytes('1')],
      [bytes('x-a'), bytes('2')],
      [bytes('sec-websocket-protocol'), bytes('chat, superchat')]
    ])
    assert.deepEqual(rest, {
      type: 'websocket',
      asgi: { version: '3.0', spec_version: '2.5' },
      http_version: '1.1',
      scheme: 'ws',
      root_path: '/mount',
      client: ['10.0.0.1', 50000],
      server: ['10.0.0.2', 80],
      subprotocols: ['chat', 'superchat'],
      state: { user: 'ä' }
    })
  })

  test('says nothing of what is not known', { timeout }, async () => {
    const scope = await scopeOf({})
    assert.equal(scope.client, null)
    assert.equal(scope.server, null)
    assert.deepEqual(scope.subprotocols, [])
    assert.deepEqual(scope.state, {})
    assert.equal('method' in scope, false)
  })

  for (const [fields, expected] of [
    [{}, 'ws'],
    [{ scheme: 'ws' }, 'ws'],
    [{ scheme: 'wss' }, 'wss'],
    [{ scheme: 'https' }, 'wss'],
    [{ socket: { encrypted: true } }, 'wss']
  ]) {
    test(`has the scheme ${expected} for ${JSON.stringify(fields)}`, { timeout }, async () => {
      assert.equal((await scopeOf(fields)).scheme, expected)
    })
  }

  test('has the scheme, host and port of an absolute url', { timeout }, async () => {
    const name = unique('scope')
    const url = `wss://example.com${script(['scope_as', name], ['receive'], close())}`
    await handler.handleStream(new Request({ url, websocket: true }))
    const scope = await noted(name)
    assert.equal(scope.scheme, 'wss')
    assert.deepEqual(scope.server, ['example.com', 443])
    assert.deepEqual(scope.headers[0], [bytes('host'), bytes('example.com')])
  })

  test('has the headers of a handshake, unless the caller brings them (RFC 6455 4.1)', { timeout }, async () => {
    const names = async headers => (await scopeOf({ headers })).headers.map(([name]) => name.$bytes)
    const handshake = ['connection', 'upgrade', 'sec-websocket-version', 'sec-websocket-key']
    assert.deepEqual(await names({}), handshake)
    assert.deepEqual(await names({ 'x-a': '1' }), ['x-a', ...handshake])
    assert.deepEqual(await names({ connection: 'upgrade', upgrade: 'websocket' }), ['connection', 'upgrade'])
  })

  for (const [what, headers, expected] of [
    ['in one line', [['sec-websocket-protocol', 'b, a ,c']], ['b', 'a', 'c']],
    ['in several lines', [['sec-websocket-protocol', 'b'], ['sec-websocket-protocol', 'a,c']], ['b', 'a', 'c']],
    ['with empty elements', [['sec-websocket-protocol', ',a,,b,']], ['a', 'b']]
  ]) {
    test(`has the subprotocols ${what}`, { timeout }, async () => {
      assert.deepEqual((await scopeOf({ headers })).subprotocols, expected)
    })
  }

  test('takes the HTTP version that the caller says', { timeout }, async () => {
    assert.equal((await scopeOf({ httpVersion: '2' })).http_version, '2')
  })
})

describe('the handshake', () => {
  test('begins with websocket.connect, once', { timeout }, async () => {
    const [first, second] = [unique('first'), unique('second')]
    const { request, response } = open([['receive', first], ['send', { type: 'websocket.accept' }], ['receive', second]])
    await response
    await request.write('message')
    assert.deepEqual(await noted(first), { type: 'websocket.connect' })
    assert.equal((await noted(second)).type, 'websocket.receive')
  })

  test('an accept is status 101', { timeout }, async () => {
    const { response } = open([...accept(), ['forever', unique('never')]])
    const { status, headers } = await response
    assert.equal(status, 101)
    assert.deepEqual(headers.entries(), [])
  })

  test('an accept has headers, in order, repeats kept', { timeout }, async () => {
    const headers = [[bytes('x-b'), bytes('1')], [bytes('set-cookie'), bytes('a=\xff')], [bytes('set-cookie'), bytes('b')]]
    const { response } = open(accept({ headers }))
    assert.deepEqual((await response).headers.entries(), [['x-b', '1'], ['set-cookie', 'a=\xff'], ['set-cookie', 'b']])
  })

  test('an accept has a subprotocol', { timeout }, async () => {
    const { response } = open(accept({ subprotocol: 'chat', headers: pairs({ a: 'b' }) }))
    assert.deepEqual((await response).headers.entries(), [['a', 'b'], ['sec-websocket-protocol', 'chat']])
  })

  test('a subprotocol of None is none', { timeout }, async () => {
    const { response } = open(accept({ subprotocol: null, headers: [] }))
    assert.deepEqual((await response).headers.entries(), [])
  })

  test('waits for the accept', { timeout }, async () => {
    const name = unique('go')
    const { response } = open([['receive', `${name}.connected`], ['released', name], ['send', { type: 'websocket.accept' }]])
    const settled = watch(response)
    await noted(`${name}.connected`)
    await turns()
    assert.equal(settled(), false)
    await release(name)
    assert.equal((await response).status, 101)
  })

  // FastAPI's own handler gives the list of what is invalid.
  for (const fields of [
    { code: 1008, reason: [{ type: 'missing' }] }, { code: 401 }, { code: 1006 }, { code: 'none', reason: 5 }, { code: 4000, reason: 'x'.repeat(200) }
  ]) {
    test(`a close before the accept needs no code and no reason that could be sent: ${inspect(fields)}`, { timeout }, async () => {
      const { response } = open([['receive'], close(fields)])
      assert.equal((await response).status, 403)
    })
  }

  test('a close before the accept is status 403 with an empty body', { timeout }, async () => {
    const { response } = open([['receive'], close({ code: 4000, reason: 'no' })])
    const refused = await response
    assert.equal(refused.status, 403)
    assert.equal(await refused.next(), null)
  })

  test('a close before the accept is followed by a disconnect with a code', { timeout }, async () => {
    const name = unique('after')
    const { response } = open([['receive'], close(), ['receive', name]])
    await response
    const { type, code } = await noted(name)
    assert.equal(type, 'websocket.disconnect')
    assert.ok(Number.isInteger(code))
  })

  test('an application that raises before the accept rejects', { timeout }, async () => {
    await assert.rejects(open([['receive'], ['fail', 'broken']]).response, {
      ...failure('ERR_PYTHON_EXCEPTION'),
      pythonType: 'LookupError'
    })
  })

  test('an application that returns before the accept rejects', { timeout }, async () => {
    await assert.rejects(open([['receive']]).response, failure('ERR_PYTHON_NO_RESPONSE'))
  })
})

describe('a denial response', () => {
  const denial = fields => ['send', { type: 'websocket.http.response.start', status: 401, ...fields }]
  const content = (content, fields) => ['send', { type: 'websocket.http.response.body', body: bytes(content), ...fields }]

  test('has status, headers and body', { timeout }, async () => {
    const headers = pairs({ 'www-authenticate': 'Basic', 'x-a': '1' })
    const { response } = open([['receive'], denial({ headers }), content('who are you?')])
    const denied = await response
    assert.equal(denied.status, 401)
    assert.deepEqual(denied.headers.entries(), [['www-authenticate', 'Basic'], ['x-a', '1']])
    assert.equal(String(await collect(denied)), 'who are you?')
  })

  test('may be streamed', { timeout }, async () => {
    const name = unique('go')
    const { response } = open([
      ['receive'], denial(), content('one', { more_body: true }), ['released', name],
      content('two', { more_body: true }), content('')
    ])
    const denied = await response
    assert.equal(String(await denied.next()), 'one')
    await release(name)
    assert.equal(String(await denied.next()), 'two')
    assert.equal(await denied.next(), null)
  })

  test('holds the application back while nobody reads', { timeout }, async () => {
    const name = unique('sent')
    const chunk = { type: 'websocket.http.response.body', body: { $zeros: 16_384 }, more_body: true }
    const { response } = open([['receive'], denial(), ['repeat', 100, name, chunk], content('')])
    const denied = await response
    await turns()
    assert.ok(await notedSoFar(name) < 10)
    assert.equal((await collect(denied)).length, 1_638_400)
  })

  test('excludes the messages of a WebSocket, and what follows an accept', { timeout }, async () => {
    const name = unique('refused')
    const { response } = open([
      ['receive'], denial(), ['attempt', `${name}.accept`, { type: 'websocket.accept' }],
      ['attempt', `${name}.close`, { type: 'websocket.close' }], content('no')
    ])
    assert.equal((await response).status, 401)
    assert.equal((await noted(`${name}.accept`))[0], 'RuntimeError')
    assert.equal((await noted(`${name}.close`))[0], 'RuntimeError')
    open([...accept(), ['attempt', name, denial()[1]]])
    assert.equal((await noted(name))[0], 'RuntimeError')
  })

  test('that is not finished is an error', { timeout }, async () => {
    await assert.rejects(open([['receive'], denial()]).response, failure('ERR_PYTHON_INCOMPLETE_RESPONSE'))
  })
})

describe('messages', () => {
  test('of the client are text or bytes, with the one key', { timeout }, async () => {
    const name = unique('got')
    const { request, response } = open([
      ...accept(), ['receive', `${name}.text`], ['receive', `${name}.bytes`], ['receive', `${name}.empty`],
      ['receive', `${name}.none`]
    ])
    await response
    await request.write('grüße 🎉\0')
    await request.write(Buffer.from([0, 255, 10]))
    await request.write('')
    await request.write(Buffer.alloc(0))
    assert.deepEqual(await noted(`${name}.text`), { type: 'websocket.receive', text: 'grüße 🎉\0' })
    assert.deepEqual(await noted(`${name}.bytes`), { type: 'websocket.receive', bytes: bytes('\0\xff\n') })
    assert.deepEqual(await noted(`${name}.empty`), { type: 'websocket.receive', text: '' })
    assert.deepEqual(await noted(`${name}.none`), { type: 'websocket.receive', bytes: bytes('') })
  })

  test('of the application arrive one by one, in order, empty ones too', { timeout }, async () => {
    const { response } = open([
      ...accept(), text('grüße'), binary('\xff\0'), text(''), ['send', { type: 'websocket.send', text: null, bytes: bytes('b') }],
      ['send', { type: 'websocket.send', text: 't', bytes: null }], close()
    ])
    const received = []
    for await (const message of await response) received.push(message.toString('latin1'))
    assert.deepEqual(received, [Buffer.from('grüße').toString('latin1'), '\xff\0', '', 'b', 't'])
  })

  test('written before the accept wait for it', { timeout }, async () => {
    const name = unique('got')
    const { request, response } = open([['receive'], ['send', { type: 'websocket.accept' }], ['receive', name]])
    await request.write('early')
    await response
    assert.equal((await noted(name)).text, 'early')
  })

  test('written before the request is handled wait for it', { timeout }, async () => {
    const name = unique('got')
    const request = new Request({ url: script(...accept(), ['receive', name]), websocket: true })
    await request.write('earlier')
    await handler.handleStream(request)
    assert.equal((await noted(name)).text, 'earlier')
  })

  test('are never joined or split', { timeout }, async () => {
    const { request, response } = open([...accept(), ['echo', unique('end')]])
    const socket = await response
    const sizes = [1, 70_000, 2, 0, 1_000_000, 65_536, 65_535, 3]
    const sending = (async () => {
      for (const size of sizes) await request.write(Buffer.alloc(size, size))
    })()
    for (const size of sizes) {
      const message = await socket.next()
      assert.equal(message.length, size)
      assert.ok(message.equals(Buffer.alloc(size, size)))
    }
    await sending
    await request.end()
  })

  test('a receive that was cancelled loses none', { timeout }, async () => {
    const name = unique('got')
    const { request, response } = open([...accept(), ['impatient', 0.001], ['receive', name]])
    await response
    await turns()
    await request.write('kept')
    assert.equal((await noted(name)).text, 'kept')
  })

  test('a chunk that is written is copied', { timeout }, async () => {
    const name = unique('got')
    const go = unique('go')
    const { request, response } = open([...accept(), ['released', go], ['receive', name]])
    await response
    const chunk = Buffer.from('before')
    request.write(chunk)
    chunk.write('after!')
    await release(go)
    assert.deepEqual((await noted(name)).bytes, bytes('before'))
  })
})

describe('backpressure', () => {
  test('send waits while nobody reads', { timeout }, async () => {
    const name = unique('sent')
    const message = { type: 'websocket.send', text: { $fill: 16_384 } }
    const { response } = open([...accept(), ['repeat', 100, name, message], close()])
    const socket = await response
    await turns()
    assert.ok(await notedSoFar(name) < 10)
    let received = 0
    for await (const { length } of socket) received += length
    assert.equal(received, 1_638_400)
  })

  test('write waits while the application does not receive', { timeout }, async () => {
    const [go, end] = [unique('go'), unique('end')]
    const { request, response } = open([...accept(), ['released', go], ['swallow', end]])
    await response
    const written = request.write(Buffer.alloc(65_536))
    const settled = watch(written)
    await turns()
    assert.equal(settled(), false)
    await release(go)
    await written
    await request.end()
  })

  // Scenario: messages of no bytes count for nothing in a window of bytes, so a peer can fill the memory with them.
  test('empty messages of the application count as well', { timeout }, async () => {
    const name = unique('sent')
    const { response } = open([...accept(), ['repeat', 200_000, name, { type: 'websocket.send', text: '' }]])
    await response
    await turns()
    assert.ok(await notedSoFar(name) < 200_000)
  })

  test('empty messages of the client count as well', { timeout }, async () => {
    const { request, response } = open([...accept(), ['forever', unique('never')]])
    await response
    let settled = () => true
    for (let written = 0; written < 200_000 && settled(); written += 1000) {
      let last
      for (let index = 0; index < 1000; index++) last = request.write('')
      settled = watch(last)
      await null
      await new Promise(setImmediate)
    }
    assert.equal(settled(), false)
  })
})

describe('the close by the caller', () => {
  for (const code of [999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 1000.5, '1000', null]) {
    test(`is refused with the code ${JSON.stringify(code)}, and may come again`, { timeout }, async () => {
      const name = unique('end')
      const { request, response } = open([...accept(), ['echo', name]])
      await response
      await assert.rejects(request.end(code), failure('ERR_PYTHON_INVALID_ARGUMENT'))
      await request.end(1000)
      assert.equal((await noted(name)).code, 1000)
    })
  }

  for (const [code, reason, expected] of [
    [1000, 'why', 'why'], [1003, 'why', 'why'], [1007, '', ''], [1014, '', ''], [3000, '', ''], [4999, '', ''],
    // Without a code there is no place for a reason in the frame.
    [undefined, 'why', '']
  ]) {
    test(`has the code and the reason: ${code}, ${reason}`, { timeout }, async () => {
      const name = unique('end')
      const { request, response } = open([...accept(), ['echo', name]])
      const socket = await response
      await request.end(code, reason)
      const closed = { code: code ?? 1005, reason: expected }
      assert.deepEqual(await noted(name), { type: 'websocket.disconnect', ...closed })
      assert.deepEqual(socket.closed, closed)
    })
  }
})

describe('the close by the application', () => {
  for (const [what, fields, expected] of [
    ['without a code', {}, { code: 1000, reason: '' }],
    ['with a code', { code: 3001 }, { code: 3001, reason: '' }],
    ['with a code and a reason', { code: 1011, reason: 'grüße' }, { code: 1011, reason: 'grüße' }],
    ['with None as both', { code: null, reason: null }, { code: 1000, reason: '' }],
    ['with the code that stands for none', { code: 1005 }, { code: 1000, reason: '' }]
  ]) {
    test(`may come ${what}`, { timeout }, async () => {
      const { response } = open([...accept(), text('last'), close(fields)])
      const socket = await response
      assert.equal(String(await socket.next()), 'last')
      assert.equal(await socket.next(), null)
      assert.equal(await socket.next(), null)
      assert.deepEqual(socket.closed, expected)
    })
  }

  for (const [code, kind] of [[999, 'ValueError'], [1006, 'ValueError'], [1015, 'ValueError'], [5000, 'ValueError'], ['1000', 'TypeError'], [true, 'TypeError']]) {
    test(`is refused with the code ${JSON.stringify(code)}`, { timeout }, async () => {
      const name = unique('refused')
      const { response } = open([...accept(), ['attempt', name, { type: 'websocket.close', code }]])
      await response
      assert.equal((await noted(name))[0], kind)
    })
  }

  test('is refused with a reason that fits no close frame', { timeout }, async () => {
    const name = unique('refused')
    const { response } = open([...accept(), ['attempt', name, { type: 'websocket.close', reason: 'ä'.repeat(62) }]])
    await response
    assert.equal((await noted(name))[0], 'ValueError')
  })

  test('is followed by a disconnect with that code', { timeout }, async () => {
    const name = unique('after')
    open([...accept(), close({ code: 3001, reason: 'done' }), ['receive', name]])
    assert.deepEqual(await noted(name), { type: 'websocket.disconnect', code: 3001, reason: 'done' })
  })

  test('wakes who waits in receive', { timeout }, async () => {
    const socket = serve('websocket:close_while_receiving')
    await socket.handleStream(new Request({ url: '/', websocket: true }))
    assert.equal((await noted('close_while_receiving')).code, 3002)
  })

  test('is followed by no message: send raises', { timeout }, async () => {
    const name = unique('refused')
    open([...accept(), close(), ['attempt', name, { type: 'websocket.send', text: 'late' }]])
    assert.equal((await noted(name))[0], 'RuntimeError')
  })

  test('a return is a close with 1000', { timeout }, async () => {
    const { response } = open([...accept(), text('bye')])
    const socket = await response
    assert.equal(String(await socket.next()), 'bye')
    assert.equal(await socket.next(), null)
    assert.deepEqual(socket.closed, { code: 1000, reason: '' })
  })

  test('an exception after the accept ends the messages with the error', { timeout }, async () => {
    const { response } = open([...accept(), text('last'), ['fail', 'broken']])
    const socket = await response
    assert.equal(String(await socket.next()), 'last')
    await assert.rejects(socket.next(), { ...failure('ERR_PYTHON_EXCEPTION'), pythonType: 'LookupError' })
  })

  test('frees a write that waits', { timeout }, async () => {
    const go = unique('go')
    const { request, response } = open([...accept(), ['released', go], close()])
    await response
    const written = request.write(Buffer.alloc(100_000))
    await release(go)
    await written
    await request.write('into the void')
  })
})

describe('the close by the client', () => {
  for (const [what, args, expected] of [
    ['with nothing, which is 1005', [], { code: 1005, reason: '' }],
    ['with a code', [3001], { code: 3001, reason: '' }],
    ['with a code and a reason', [4999, 'grüße'], { code: 4999, reason: 'grüße' }]
  ]) {
    test(`may come from the client ${what}`, { timeout }, async () => {
      const name = unique('end')
      const { request, response } = open([...accept(), ['echo', name]])
      await response
      await request.end(...args)
      assert.deepEqual(await noted(name), { type: 'websocket.disconnect', ...expected })
    })
  }

  // Scenario: the grace was over while the application still read, and the rest of the messages was lost.
  test('leaves a slow application the time to take every message before it', { timeout }, async t => {
    const own = serve('script:app', { responseTimeout: 0, disconnectGrace: 1000 })
    t.after(() => own.close({ timeout: 1000 }))
    const name = unique('got')
    const steps = [1, 2, 3, 4].flatMap(number => [['receive', `${name}.${number}`], ['sleep', 0.5]])
    const request = new Request({ url: script(...accept(), ...steps, ['receive', `${name}.end`]), websocket: true })
    await own.handleStream(request)
    for (const message of ['one', 'two', 'three', 'four']) await request.write(message)
    await request.end(1000, 'bye')
    assert.deepEqual(await noted(`${name}.end`), { type: 'websocket.disconnect', code: 1000, reason: 'bye' })
    assert.equal((await noted(`${name}.4`)).text, 'four')
  })

  test('is followed by the cancellation of an application that goes on, receives again and again too', { timeout }, async t => {
    const own = serve('script:app', { responseTimeout: 0, disconnectGrace: 100 })
    t.after(() => own.close({ timeout: 1000 }))
    for (const step of ['forever', 'receive_forever']) {
      const name = unique('cancelled')
      const request = new Request({ url: script(...accept(), ['receive'], ['receive'], [step, name]), websocket: true })
      await own.handleStream(request)
      await request.write('one')
      await request.end()
      await noted(name)
    }
  })

  test('comes after every message that was sent before it', { timeout }, async () => {
    const name = unique('got')
    const go = unique('go')
    const { request, response } = open([
      ...accept(), ['released', go], ['receive', `${name}.1`], ['receive', `${name}.2`], ['receive', `${name}.3`]
    ])
    await response
    await request.write('one')
    await request.write('two')
    await request.end(1000, 'bye')
    await release(go)
    assert.equal((await noted(`${name}.1`)).text, 'one')
    assert.equal((await noted(`${name}.2`)).text, 'two')
    assert.deepEqual(await noted(`${name}.3`), { type: 'websocket.disconnect', code: 1000, reason: 'bye' })
  })

  test('ends the reading of messages', { timeout }, async () => {
    const { request, response } = open([...accept(), ['echo', unique('end')]])
    const socket = await response
    const next = socket.next()
    await request.end()
    assert.equal(await next, null)
  })

  test('is received again and again', { timeout }, async () => {
    const name = unique('end')
    const { request, response } = open([...accept(), ['receive'], ['receive'], ['receive', name]])
    await response
    await request.end(3000)
    assert.equal((await noted(name)).code, 3000)
  })

  test('makes send raise a subclass of OSError', { timeout }, async () => {
    const name = unique('send')
    const { request, response } = open([
      ...accept(), ['receive'], ['attempt', name, { type: 'websocket.send', text: 'late' }],
      ['attempt', `${name}.close`, { type: 'websocket.close' }]
    ])
    await response
    await request.end()
    assert.deepEqual(await noted(name), OS_ERROR)
    assert.deepEqual(await noted(`${name}.close`), OS_ERROR)
  })

  test('wakes a send that waits, with an error', { timeout }, async () => {
    const name = unique('send')
    const { request, response } = open([
      ...accept(), ['attempt', name, { type: 'websocket.send', text: { $fill: 100_000 } }]
    ])
    await response
    await turns()
    await request.end()
    assert.deepEqual(await noted(name), OS_ERROR)
  })

  test('before the accept follows it', { timeout }, async () => {
    const name = unique('early')
    const { request, response } = open([
      ['receive', `${name}.connect`], ['released', name], ['send', { type: 'websocket.accept' }], ['receive', name]
    ])
    await noted(`${name}.connect`)
    await request.end(3001, 'bye')
    await release(name)
    assert.equal((await response).status, 101)
    assert.deepEqual(await noted(name), { type: 'websocket.disconnect', code: 3001, reason: 'bye' })
  })

  // Scenario: `end` took a code and a reason, and forgot them if no handler had the request yet.
  test('before the request is handled keeps its code and reason', { timeout }, async () => {
    const name = unique('end')
    const request = new Request({ url: script(...accept(), ['echo', name]), websocket: true })
    await request.end(3001, 'bye')
    await handler.handleStream(request)
    assert.deepEqual(await noted(name), { type: 'websocket.disconnect', code: 3001, reason: 'bye' })
  })

  test('by the end of an iteration', { timeout }, async () => {
    const name = unique('end')
    const { response } = open([...accept(), text('one'), ['echo', name]])
    for await (const message of await response) {
      assert.equal(String(message), 'one')
      break
    }
    assert.equal((await noted(name)).code, 1006)
  })

  test('by an AbortSignal is 1006', { timeout }, async () => {
    const name = unique('end')
    const controller = new AbortController()
    const { response } = open([...accept(), ['echo', name]], {}, { signal: controller.signal })
    const socket = await response
    const next = socket.next()
    const reason = new Error('enough')
    controller.abort(reason)
    await assert.rejects(next, reason)
    assert.deepEqual(await noted(name), { type: 'websocket.disconnect', code: 1006, reason: '' })
  })

  test('by an AbortSignal before the accept rejects with its reason', { timeout }, async () => {
    const name = unique('early')
    const controller = new AbortController()
    const { response } = open([
      ['receive', `${name}.connect`], ['receive', name], ['attempt', `${name}.accept`, { type: 'websocket.accept' }]
    ], {}, controller)
    await noted(`${name}.connect`)
    controller.abort(new RangeError('mine'))
    await assert.rejects(response, new RangeError('mine'))
    assert.equal((await noted(name)).code, 1006)
    assert.deepEqual(await noted(`${name}.accept`), OS_ERROR)
  })
})

describe('messages that are wrong', () => {
  for (const [what, message, kind] of [
    ['a send without content', { type: 'websocket.send' }, 'ValueError'],
    ['a send of None and None', { type: 'websocket.send', text: null, bytes: null }, 'ValueError'],
    ['a send of both', { type: 'websocket.send', text: 'a', bytes: bytes('b') }, 'ValueError'],
    ['a send of bytes as text', { type: 'websocket.send', text: bytes('a') }, 'TypeError'],
    ['a send of text as bytes', { type: 'websocket.send', bytes: 'a' }, 'TypeError'],
    ['a send of a number', { type: 'websocket.send', text: 1 }, 'TypeError'],
    ['a second accept', { type: 'websocket.accept' }, 'RuntimeError'],
    ['an HTTP response', { type: 'http.response.start', status: 200 }, 'ValueError'],
    ['an unknown type', { type: 'websocket.shout' }, 'ValueError'],
    ['no type', {}, 'ValueError'],
    ['a type that is no str', { type: 1 }, 'TypeError'],
    ['no dict', [], 'TypeError']
  ]) {
    test(`${what}: ${kind}, and the WebSocket goes on`, { timeout }, async () => {
      const name = unique('wrong')
      const { response } = open([...accept(), ['attempt', name, message], text('goes on'), close()])
      assert.equal(String(await (await response).next()), 'goes on')
      assert.equal((await noted(name))[0], kind)
    })
  }

  for (const [what, message, kind] of [
    ['a send before the accept', { type: 'websocket.send', text: 'a' }, 'RuntimeError'],
    ['a subprotocol as a header', { type: 'websocket.accept', headers: pairs({ 'sec-websocket-protocol': 'a' }) }, 'ValueError'],
    ['a subprotocol that is no token', { type: 'websocket.accept', subprotocol: 'a b' }, 'ValueError'],
    ['a subprotocol that is no str', { type: 'websocket.accept', subprotocol: bytes('a') }, 'TypeError'],
    ['a header of str', { type: 'websocket.accept', headers: [['a', 'b']] }, 'TypeError'],
    ['a header with a line break', { type: 'websocket.accept', headers: pairs({ a: 'b\r\nc: d' }) }, 'ValueError'],
    ['a pseudo-header', { type: 'websocket.accept', headers: pairs({ ':status': '200' }) }, 'ValueError'],
    ['a denial without status', { type: 'websocket.http.response.start' }, 'ValueError'],
    ['a denial\'s body without its start', { type: 'websocket.http.response.body' }, 'RuntimeError']
  ]) {
    test(`${what}: ${kind}, and the handshake goes on`, { timeout }, async () => {
      const name = unique('wrong')
      const { response } = open([['receive'], ['attempt', name, message], ['send', { type: 'websocket.accept' }]])
      assert.equal((await response).status, 101)
      assert.equal((await noted(name))[0], kind)
    })
  }

  test('further keys are no error', { timeout }, async () => {
    const more = { mood: 'good' }
    const { response } = open([...accept(more), ['send', { type: 'websocket.send', text: 'a', ...more }], close(more)])
    assert.equal(String(await (await response).next()), 'a')
  })
})

describe('a WebSocket that waits for maxInFlight', () => {
  /** A handler whose one place is taken until `let`. */
  async function occupied (t) {
    const own = serve('script:app', { responseTimeout: 0, maxInFlight: 1 })
    t.after(() => own.close({ timeout: 1000 }))
    const go = unique('go')
    const running = own.handleRequest({ url: script(['note', `${go}.asked`], ['released', go], start(), body()) })
    await noted(`${go}.asked`)
    return { own, running, let: () => release(go) }
  }

  test('is given what was written, and its close', { timeout }, async t => {
    const { own, running, let: begin } = await occupied(t)
    const name = unique('got')
    const request = new Request({ url: script(...accept(), ['receive', `${name}.1`], ['receive', `${name}.2`]), websocket: true })
    const response = own.handleStream(request)
    await request.write('one')
    await request.end(3000, 'bye')
    await begin()
    await Promise.all([running, response])
    assert.equal((await noted(`${name}.1`)).text, 'one')
    assert.deepEqual(await noted(`${name}.2`), { type: 'websocket.disconnect', code: 3000, reason: 'bye' })
  })

  // Scenario: only those that had begun were told, and the close of the handler waited for the others until its timeout.
  test('is told 1001 when the handler closes meanwhile', { timeout }, async t => {
    const { own, running, let: begin } = await occupied(t)
    const name = unique('end')
    const waiting = own.handleStream(new Request({ url: script(...accept(), ['receive', name]), websocket: true }))
    const ended = own.close({ timeout: 30_000 })
    await begin()
    await running
    const response = await waiting
    assert.equal(await response.next(), null)
    assert.deepEqual(response.closed, { code: 1001, reason: '' })
    assert.deepEqual(await noted(name), { type: 'websocket.disconnect', code: 1001, reason: '' })
    await ended
  })
})

describe('a request for a WebSocket', () => {
  test('may be a plain object', { timeout }, async () => {
    const response = await handler.handleStream({ url: script(...accept(), text('hello')), websocket: true })
    assert.equal(response.status, 101)
    assert.equal(String(await response.next()), 'hello')
  })

  test('cannot be handled synchronously', { timeout }, () => {
    const url = script(...accept(), close())
    for (const request of [new Request({ url, websocket: true }), { url, websocket: true }]) {
      assert.throws(() => handler.handleRequestSync(request), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    }
  })

  test('a hundred at once keep their messages apart', { timeout }, async () => {
    await Promise.all(Array.from({ length: 100 }, async (_, index) => {
      const { request, response } = open([...accept(), ['echo', unique('end')]])
      const socket = await response
      for (let round = 0; round < 20; round++) {
        await request.write(`${index}:${round}`)
        assert.equal(String(await socket.next()), `${index}:${round}`)
      }
      await request.end()
    }))
  })
})

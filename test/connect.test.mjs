// `handler.connect`: the surface of the standard's WebSocket class (WHATWG WebSockets, "The WebSocket interface") over an
// application in this process, and async iteration. The messages to the application are tested in websocket.test.mjs.

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { Request } from '../index.js'
import { failure, noted, release, serve, timeout, turns, watch } from './fixtures.mjs'
import { accept, binary, bytes, close, once, script, text, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0, highWaterMark: 65_536 })

after(() => handler.close({ timeout: 1000 }))

function connect (steps, options) {
  return handler.connect(script(...steps), options)
}

/** An application that echoes; its end is noted under `name`. */
function echo (name = unique('end'), options) {
  return connect([...accept(), ['echo', name]], options)
}

describe('a connection', () => {
  test('opens, sends and receives text and bytes, and closes', { timeout }, async () => {
    const name = unique('end')
    const socket = echo(name)
    assert.equal(socket.readyState, socket.CONNECTING)
    const opened = await once(socket, 'open')
    assert.equal(opened.target, socket)
    assert.equal(socket.readyState, socket.OPEN)
    socket.send('grüße 🎉')
    assert.equal((await once(socket, 'message')).data, 'grüße 🎉')
    socket.send(Buffer.from([0, 255]))
    assert.deepEqual((await once(socket, 'message')).data, Buffer.from([0, 255]))
    socket.close(3001, 'enough')
    assert.equal(socket.readyState, socket.CLOSING)
    const { code, reason, wasClean } = await once(socket, 'close')
    assert.deepEqual({ code, reason, wasClean }, { code: 3001, reason: 'enough', wasClean: true })
    assert.equal(socket.readyState, socket.CLOSED)
    assert.deepEqual(await noted(name), { type: 'websocket.disconnect', code: 3001, reason: 'enough' })
  })

  test('has the states of the standard, on the class and on the instance', { timeout }, () => {
    const socket = echo()
    for (const place of [socket, socket.constructor]) {
      assert.deepEqual([place.CONNECTING, place.OPEN, place.CLOSING, place.CLOSED], [0, 1, 2, 3])
    }
    assert.ok(socket instanceof EventTarget)
    assert.equal(Object.prototype.toString.call(socket), '[object WebSocket]')
    socket.close()
  })

  test('has the handlers of the standard', { timeout }, async () => {
    const socket = echo()
    const seen = []
    assert.equal(socket.onopen, null)
    const onopen = event => seen.push(event.type)
    socket.onopen = onopen
    assert.equal(socket.onopen, onopen)
    socket.onopen = null
    assert.equal(socket.onopen, null)
    socket.onopen = () => { seen.push('opened') }
    socket.onmessage = ({ type }) => { seen.push(type); socket.close(1000) }
    socket.onerror = () => assert.fail('no error')
    const closed = new Promise(resolve => { socket.onclose = ({ type }) => { seen.push(type); resolve() } })
    await once(socket, 'open')
    socket.send('a')
    await closed
    assert.deepEqual(seen, ['opened', 'message', 'close'])
  })

  for (const [what, target] of [
    ['a path', url => url],
    ['a ws url', url => `ws://example.com${url}`],
    ['a URL', url => new URL(`wss://example.com${url}`)],
    ['a Request', url => new Request({ url, websocket: true })],
    ['fields of a request', url => ({ url, headers: { a: 'b' } })]
  ]) {
    test(`may be asked for with ${what}`, { timeout }, async () => {
      const socket = handler.connect(target(script(...accept(), text('hello'))))
      assert.equal((await once(socket, 'message')).data, 'hello')
    })
  }

  test('offers protocols and headers, and says what was chosen', { timeout }, async () => {
    const name = unique('scope')
    const socket = connect([['scope_as', name], ...accept({ subprotocol: 'b', headers: [[bytes('x-a'), bytes('1')]] }), ['echo', unique('end')]], {
      protocols: ['a', 'b'],
      headers: { cookie: 'c=d' }
    })
    assert.equal(socket.protocol, '')
    await once(socket, 'open')
    assert.equal(socket.protocol, 'b')
    assert.equal(socket.extensions, '')
    assert.equal(socket.headers.get('x-a'), '1')
    const scope = await noted(name)
    assert.deepEqual(scope.subprotocols, ['a', 'b'])
    assert.deepEqual(scope.headers.slice(0, 2), [[bytes('cookie'), bytes('c=d')], [bytes('sec-websocket-protocol'), bytes('a, b')]])
    socket.close()
  })

  test('may offer one protocol as a string', { timeout }, async () => {
    const name = unique('scope')
    connect([['scope_as', name], ['receive'], close()], { protocols: 'chat' }).onerror = () => {}
    assert.deepEqual((await noted(name)).subprotocols, ['chat'])
  })

  for (const [what, target] of [
    ['a url', url => url],
    ['a Request', url => new Request({ url, headers: { a: 'b' } })],
    ['fields of a request', url => ({ url, headers: { a: 'b' } })]
  ]) {
    for (const [form, options] of [['options', { protocols: ['a', 'b'] }], ['an array', ['a', 'b']]]) {
      test(`offers protocols to ${what}, given as ${form}`, { timeout }, async () => {
        const name = unique('scope')
        const socket = handler.connect(target(script(['scope_as', name], ...accept({ subprotocol: 'b' }), ['echo', unique('end')])), options)
        await once(socket, 'open')
        assert.equal(socket.protocol, 'b')
        assert.deepEqual((await noted(name)).subprotocols, ['a', 'b'])
        socket.close()
      })
    }
  }

  test('may offer one protocol in place of the options', { timeout }, async () => {
    const socket = connect([...accept({ subprotocol: 'chat' }), ['echo', unique('end')]], 'chat')
    await once(socket, 'open')
    assert.equal(socket.protocol, 'chat')
    socket.close()
  })

  // Scenario: without `websocket: true` the request reached the application as one of HTTP.
  test('asks for a WebSocket with any Request, which takes early messages', { timeout }, async () => {
    const request = new Request({ url: script(...accept(), ['echo', unique('end')]), websocket: false })
    request.write('early')
    const socket = handler.connect(request)
    assert.equal((await once(socket, 'message')).data, 'early')
    assert.throws(() => handler.connect(request), failure('ERR_PYTHON_BODY'))
    socket.close()
  })

  test('refuses options and protocols that are none', { timeout }, () => {
    const invalid = failure('ERR_PYTHON_INVALID_ARGUMENT')
    for (const options of [5, true, Symbol('a'), () => {}, '', 'a b', 'a,b', 'ä', ['a', 'a'], [5], ['']]) {
      assert.throws(() => connect(accept(), options), invalid)
    }
    for (const protocols of [5, {}, 'a b', ['a', 'b', 'a'], ['a', null]]) {
      assert.throws(() => connect(accept(), { protocols }), invalid)
      assert.throws(() => handler.connect(new Request({ url: '/' }), { protocols }), invalid)
    }
  })

  test('refuses headers beside a target that has its own', { timeout }, () => {
    const invalid = failure('ERR_PYTHON_INVALID_ARGUMENT')
    const url = script(...accept(), close())
    assert.throws(() => handler.connect(new Request({ url }), { headers: { a: 'b' } }), invalid)
    assert.throws(() => handler.connect({ url }, { headers: {} }), invalid)
  })

  test('is refused at once for what is no url', { timeout }, () => {
    assert.throws(() => handler.connect('no url'), failure('ERR_PYTHON_INVALID_URL'))
    assert.throws(() => handler.connect(), failure('ERR_PYTHON_INVALID_ARGUMENT'))
  })

  test('a hundred at once play ping-pong', { timeout }, async () => {
    await Promise.all(Array.from({ length: 100 }, async (_, index) => {
      const socket = echo()
      await once(socket, 'open')
      for (let round = 0; round < 20; round++) {
        socket.send(`${index}:${round}`)
        assert.equal((await once(socket, 'message')).data, `${index}:${round}`)
      }
      socket.close(1000)
    }))
  })
})

describe('messages', () => {
  test('are ArrayBuffers or Blobs if asked for', { timeout }, async () => {
    const socket = echo()
    assert.equal(socket.binaryType, 'nodebuffer')
    socket.binaryType = 'nonsense'
    assert.equal(socket.binaryType, 'nodebuffer')
    await once(socket, 'open')
    socket.binaryType = 'arraybuffer'
    socket.send(Buffer.from('a'))
    const { data } = await once(socket, 'message')
    assert.ok(data instanceof ArrayBuffer)
    assert.equal(Buffer.from(data).toString(), 'a')
    socket.binaryType = 'blob'
    socket.send(Buffer.from('b'))
    const blob = (await once(socket, 'message')).data
    assert.ok(blob instanceof Blob)
    assert.equal(await blob.text(), 'b')
    socket.close()
  })

  test('may be sent as any view, as what was there at the call', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    const view = new Uint16Array([1, 2, 3]).subarray(1)
    for (const data of [view, view.buffer, new DataView(view.buffer, 2)]) {
      const expected = Buffer.from(ArrayBuffer.isView(data) ? data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) : data)
      socket.send(data)
      assert.deepEqual((await once(socket, 'message')).data, expected)
    }
    const changing = Buffer.from('before')
    socket.send(changing)
    changing.write('after!')
    assert.equal(String((await once(socket, 'message')).data), 'before')
    socket.close()
  })

  test('may be Blobs, which keep their place', { timeout }, async () => {
    const name = unique('end')
    const socket = connect([...accept(), ['echo', name]])
    const received = []
    socket.addEventListener('message', ({ data }) => received.push(String(data)))
    await once(socket, 'open')
    const changing = Buffer.from('4')
    for (const data of ['1', new Blob(['2', '2']), '3', changing, new Blob([]), new Blob(['5']), '6']) socket.send(data)
    changing.write('x')
    assert.ok(socket.bufferedAmount >= 6)
    while (received.length < 7) await turns(1)
    assert.deepEqual(received, ['1', '22', '3', '4', '', '5', '6'])
    assert.equal(socket.bufferedAmount, 0)
    socket.close()
  })

  test('that are Blobs go out before a close, and those after it do not', { timeout }, async () => {
    const [received, end] = [unique('received'), unique('end')]
    const socket = connect([...accept(), ['receive', received], ['receive', end]])
    await once(socket, 'open')
    socket.send(new Blob(['last']))
    socket.close(3001, 'enough')
    assert.equal(socket.readyState, socket.CLOSING)
    socket.send(new Blob(['late']))
    const { code, wasClean } = await once(socket, 'close')
    assert.deepEqual({ code, wasClean }, { code: 3001, wasClean: true })
    assert.deepEqual((await noted(received)).bytes, bytes('last'))
    assert.deepEqual(await noted(end), { type: 'websocket.disconnect', code: 3001, reason: 'enough' })
  })

  test('that are Blobs which cannot be read end the connection with their error', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    const blob = new Blob(['a'])
    const broken = new RangeError('gone')
    blob.arrayBuffer = () => Promise.reject(broken)
    const [failed, closed] = [once(socket, 'error'), once(socket, 'close')]
    socket.send(blob)
    socket.send('behind')
    assert.equal((await failed).error, broken)
    assert.equal((await closed).code, 1006)
  })

  test('of an unknown kind are refused', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    for (const data of [null, 1, {}, Symbol('a')]) {
      assert.throws(() => socket.send(data), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    }
    socket.close()
  })

  test('sent before the connection is open wait for it', { timeout }, async () => {
    const socket = echo()
    socket.send('early')
    assert.equal((await once(socket, 'message')).data, 'early')
    socket.close()
  })

  test('sent after the close go nowhere, and count as buffered', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    socket.close()
    socket.send('abc')
    assert.equal(socket.bufferedAmount, 3)
  })

  test('that wait are counted in bufferedAmount until the application has taken them', { timeout }, async () => {
    const [go, end] = [unique('go'), unique('end')]
    const socket = connect([...accept(), ['released', go], ['swallow', end], ['note', end]])
    await once(socket, 'open')
    assert.equal(socket.bufferedAmount, 0)
    for (let index = 0; index < 10; index++) socket.send(Buffer.alloc(65_536))
    assert.ok(socket.bufferedAmount >= 9 * 65_536)
    await release(go)
    while (socket.bufferedAmount > 0) await turns(1)
    socket.close()
  })

  test('before an error or a close are all delivered, those that had no listener yet too', { timeout }, async () => {
    const socket = connect([...accept(), text('one'), text('two'), close()])
    await once(socket, 'close')
    const received = []
    await new Promise(resolve => {
      socket.addEventListener('message', ({ data }) => {
        received.push(data)
        if (received.length === 2) resolve()
      })
    })
    assert.deepEqual(received, ['one', 'two'])
  })

  // Scenario: one batch holds a message of a first socket and one of a second; the listener of the first listens to the
  // second, which has kept a message. The kept one is to come first.
  test('keep their order when a listener is added within a batch', { timeout }, async () => {
    const [ready, go] = [unique('ready'), unique('go')]
    const first = connect([...accept(), ['released', go], text('now')])
    const second = connect([...accept(), text('1'), ['note', ready], ['released', go], ['released', `${go}.second`], text('2'), close()])
    await Promise.all([once(first, 'open'), once(second, 'open')])
    await noted(ready)
    const seen = []
    const closed = new Promise(resolve => {
      first.addEventListener('message', () => {
        second.addEventListener('message', ({ data }) => seen.push(data))
        second.addEventListener('close', () => { seen.push('close'); resolve() })
      })
    })
    await turns()
    // While this thread waits, nothing is delivered: what both send meanwhile is one batch.
    handler.handleRequestSync({ url: script(['release', go], ['release', `${go}.second`], ['sleep', 0.05], ['send', { type: 'http.response.start', status: 200 }], ['send', { type: 'http.response.body' }]) })
    await closed
    assert.deepEqual(seen, ['1', '2', 'close'])
  })
})

describe('the end', () => {
  test('by the application', { timeout }, async () => {
    const socket = connect([...accept(), close({ code: 3002, reason: 'grüße' })])
    const { code, reason, wasClean } = await once(socket, 'close')
    assert.deepEqual({ code, reason, wasClean }, { code: 3002, reason: 'grüße', wasClean: true })
    assert.equal(socket.readyState, socket.CLOSED)
  })

  test('by a close without a code is 1005 on both sides', { timeout }, async () => {
    const name = unique('end')
    const socket = echo(name)
    await once(socket, 'open')
    socket.close()
    const { code, wasClean } = await once(socket, 'close')
    assert.deepEqual({ code, wasClean }, { code: 1005, wasClean: true })
    assert.equal((await noted(name)).code, 1005)
  })

  test('by a close before the connection is open', { timeout }, async () => {
    const name = unique('end')
    const socket = connect([['receive'], ['receive', name]])
    const events = []
    for (const type of ['open', 'error', 'close']) socket.addEventListener(type, () => events.push(type))
    socket.close()
    const { code, wasClean } = await once(socket, 'close')
    assert.deepEqual({ code, wasClean }, { code: 1006, wasClean: false })
    assert.ok(!events.includes('open'))
  })

  test('by a second close changes nothing', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    socket.close(3001)
    socket.close(3002)
    assert.equal((await once(socket, 'close')).code, 3001)
    socket.close(3003)
    assert.equal(socket.readyState, socket.CLOSED)
  })

  for (const code of [0, 999, 1001, 1005, 1006, 2999, 5000]) {
    test(`may not have the code ${code}`, { timeout }, async () => {
      const socket = echo()
      await once(socket, 'open')
      assert.throws(() => socket.close(code), { name: 'InvalidAccessError' })
      assert.equal(socket.readyState, socket.OPEN)
      socket.close()
    })
  }

  test('may not have a reason that fits no close frame', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    assert.throws(() => socket.close(3000, 'ä'.repeat(62)), { name: 'SyntaxError' })
    socket.close(3000, 'ä'.repeat(61))
    assert.equal((await once(socket, 'close')).reason, 'ä'.repeat(61))
  })

  test('by an exception is an error, then a close with 1006', { timeout }, async () => {
    const socket = connect([...accept(), ['fail', 'broken']])
    const { error, message } = await once(socket, 'error')
    assert.equal(error.code, 'ERR_PYTHON_EXCEPTION')
    assert.equal(error.pythonType, 'LookupError')
    assert.equal(message, error.message)
    assert.equal(socket.readyState, socket.CLOSED)
  })

  test('by a refusal is an error that has the response', { timeout }, async () => {
    const socket = connect([['receive'], close()])
    const closed = once(socket, 'close')
    const { error } = await once(socket, 'error')
    assert.equal(error.code, 'ERR_PYTHON_WEBSOCKET_REFUSED')
    assert.equal(error.status, 403)
    const { code, wasClean } = await closed
    assert.deepEqual({ code, wasClean }, { code: 1006, wasClean: false })
  })

  test('by a denial response says its status', { timeout }, async () => {
    const socket = connect([
      ['receive'], ['send', { type: 'websocket.http.response.start', status: 429 }],
      ['send', { type: 'websocket.http.response.body', body: bytes('slow down') }]
    ])
    assert.equal((await once(socket, 'error')).error.status, 429)
  })

  test('by an AbortSignal is an error with its reason, and a disconnect', { timeout }, async () => {
    const name = unique('end')
    const controller = new AbortController()
    const socket = echo(name, { signal: controller.signal })
    await once(socket, 'open')
    const [failed, closed] = [once(socket, 'error'), once(socket, 'close')]
    const reason = new RangeError('enough')
    controller.abort(reason)
    assert.equal((await failed).error, reason)
    assert.equal((await closed).code, 1006)
    assert.equal((await noted(name)).code, 1006)
  })

  // Scenario: the signal was aborted before; the events came in the constructor, before anybody could listen.
  test('by an AbortSignal that was aborted before tells its listeners', { timeout: 10_000 }, async () => {
    const reason = new RangeError('enough')
    const socket = echo(unique('end'), { signal: AbortSignal.abort(reason) })
    const closed = once(socket, 'close')
    assert.equal((await once(socket, 'error')).error, reason)
    assert.equal((await closed).code, 1006)
  })
})

describe('iteration', () => {
  test('gives text as strings and bytes as Buffers, and ends with the close', { timeout }, async () => {
    const received = []
    for await (const message of connect([...accept(), text('a'), binary('b'), text(''), close()])) received.push(message)
    assert.deepEqual(received, ['a', Buffer.from('b'), ''])
  })

  test('may begin before the connection is open, and send while it reads', { timeout }, async () => {
    const socket = echo()
    socket.onopen = () => socket.send('0')
    const received = []
    for await (const message of socket) {
      received.push(message)
      if (received.length === 5) break
      socket.send(String(received.length))
    }
    assert.deepEqual(received, ['0', '1', '2', '3', '4'])
  })

  test('that is left closes the connection with 1000', { timeout }, async () => {
    const name = unique('end')
    const socket = connect([...accept(), text('a'), ['echo', name]])
    for await (const message of socket) {
      assert.equal(message, 'a')
      break
    }
    assert.equal((await noted(name)).code, 1000)
  })

  test('fails with the application, after the last message', { timeout }, async () => {
    const received = []
    await assert.rejects(async () => {
      for await (const message of connect([...accept(), text('a'), ['fail', 'broken']])) received.push(message)
    }, failure('ERR_PYTHON_EXCEPTION'))
    assert.deepEqual(received, ['a'])
  })

  test('fails when the WebSocket is refused', { timeout }, async () => {
    await assert.rejects(async () => {
      for await (const message of connect([['receive'], close()])) assert.fail(`no message: ${message}`)
    }, failure('ERR_PYTHON_WEBSOCKET_REFUSED'))
  })

  test('that is slow holds the application back', { timeout }, async () => {
    const name = unique('sent')
    const socket = connect([...accept(), ['repeat', 100, name, { type: 'websocket.send', text: { $fill: 16_384 } }], ['note', `${name}.all`], close()])
    await once(socket, 'open')
    const settled = watch(noted(`${name}.all`))
    await turns()
    assert.equal(settled(), false)
    let received = 0
    for await (const { length } of socket) received += length
    assert.equal(received, 1_638_400)
  })
})

// `handler.connect`: the surface of the standard's WebSocket class (WHATWG WebSockets, "The WebSocket interface") over an
// application in this process, and async iteration. The messages to the application are tested in websocket.test.mjs.

import assert from 'node:assert/strict'
import events from 'node:events'
import { Readable } from 'node:stream'
import { after, describe, test } from 'node:test'
import vm from 'node:vm'
import { Request } from '../index.js'
import { collect, failure, noted, notedSoFar, release, serve, timeout, turns, watch } from './fixtures.mjs'
import { accept, binary, body, bytes, close, once, script, start, text, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0, highWaterMark: 65_536 })

after(() => handler.close({ timeout: 1000 }))

function connect (steps, options) {
  return handler.connect(script(...steps), options)
}

/** A connection to which all of `steps` is delivered in one batch, once the caller waits; then follows `end`. */
function connectInOneBatch (steps, ...end) {
  const [go, done] = [unique('go'), unique('done')]
  const socket = connect([['released', go], ...steps, ['note', done], ...end])
  // While this thread waits, nothing is delivered.
  queueMicrotask(() => handler.handleRequestSync({ url: script(['release', go], ['noted', done], start(), body()) }))
  return socket
}

/** A denial response that goes on after its first part. */
const denial = (type, fields) => ['send', { type: `websocket.http.response.${type}`, ...fields }]

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

  test('calls a handler beside the same function as a listener, and one that replaces it in its place', { timeout }, async () => {
    const socket = echo()
    const seen = []
    const both = function (event) { seen.push(`${event.data} both ${this === socket}`) }
    socket.addEventListener('message', both)
    socket.onmessage = both
    socket.addEventListener('message', ({ data }) => { seen.push(`${data} listener`) })
    await once(socket, 'open')
    const sendAndSee = async (data, set) => {
      socket.onmessage = set
      socket.send(data)
      await once(socket, 'message')
      await turns(1)
      return seen.splice(0)
    }
    assert.deepEqual(await sendAndSee('a', both), ['a both true', 'a both true', 'a listener'])
    assert.deepEqual(await sendAndSee('b', ({ data }) => { seen.push(`${data} new`) }), ['b both true', 'b new', 'b listener'])
    assert.deepEqual(await sendAndSee('c', null), ['c both true', 'c listener'])
    assert.deepEqual(await sendAndSee('d', ({ data }) => { seen.push(`${data} new`) }), ['d both true', 'd listener', 'd new'])
    socket.close()
  })

  test('that finds no room throws ERR_PYTHON_OVERLOADED', { timeout }, async t => {
    const own = serve('script:app', { responseTimeout: 0, maxInFlight: 1, maxQueued: 0 })
    t.after(() => own.close({ timeout: 1000 }))
    const socket = own.connect(script(...accept(), ['echo', unique('end')]))
    await once(socket, 'open')
    assert.throws(() => own.connect(script(...accept())), failure('ERR_PYTHON_OVERLOADED'))
    socket.close()
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

  for (const [origin, expected] of [
    ['http://example.com', 'ws://example.com'], ['HTTPS://example.com:8443', 'wss://example.com:8443'],
    ['ws://user@example.com', 'ws://user@example.com'], ['WSS://example.com', 'wss://example.com'], ['', '']
  ]) {
    test(`has a ws url where its target says a host: ${origin}`, { timeout }, () => {
      const path = script(...accept(), close())
      const socket = handler.connect(`${origin}${path}${origin === '' ? '' : '#fragment'}`)
      assert.equal(socket.url, `${expected}${path}`)
      socket.close()
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
    const buffers = [new ArrayBuffer(3), new Uint8Array(3), Buffer.from(new ArrayBuffer(3))]
    for (const buffer of buffers) structuredClone(buffer, { transfer: [buffer.buffer ?? buffer] })
    for (const data of [{}, [1], () => {}, new String('a'), ...buffers]) {
      assert.throws(() => socket.send(data), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    }
    assert.throws(() => socket.send(Symbol('a')), TypeError)
    socket.send('still open')
    assert.equal((await once(socket, 'message')).data, 'still open')
    socket.close()
  })

  test('that are other primitives are sent as their text', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    for (const data of [5, -0.5, true, null, undefined, 5n]) {
      socket.send(data)
      assert.equal((await once(socket, 'message')).data, String(data))
    }
    socket.close()
  })

  test('may be in shared memory, or in a buffer of another realm', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    const shared = new SharedArrayBuffer(3)
    new Uint8Array(shared).set([1, 2, 3])
    for (const data of [shared, new Uint8Array(shared), vm.runInNewContext('new Uint8Array([1, 2, 3]).buffer')]) {
      socket.send(data)
      assert.deepEqual((await once(socket, 'message')).data, Buffer.from([1, 2, 3]))
    }
    socket.close()
  })

  test('have the origin of the url', { timeout }, async () => {
    for (const [origin, expected] of [['https://user@example.com:8443', 'wss://example.com:8443'], ['http://EXAMPLE.com:80', 'ws://example.com'], ['', '']]) {
      const socket = handler.connect(`${origin}${script(...accept(), text('a'), close())}`)
      assert.equal((await once(socket, 'message')).origin, expected)
    }
  })

  test('sent before the connection is open wait for it', { timeout }, async () => {
    const socket = echo()
    socket.send('early')
    assert.equal((await once(socket, 'message')).data, 'early')
    socket.close()
  })

  // Scenario: those that were sent while the call waited for room were lost, and did not count as buffered.
  test('sent while the call waits for maxInFlight wait for it, as they were', { timeout }, async t => {
    const own = serve('script:app', { responseTimeout: 0, maxInFlight: 1 })
    t.after(() => own.close({ timeout: 1000 }))
    const [go, end] = [unique('go'), unique('end')]
    const first = own.handleRequest({ url: script(['released', go], start(), body()) })
    const socket = own.connect(script(...accept(), ['echo', end]))
    const received = []
    socket.onmessage = ({ data }) => received.push(data)
    const reused = Buffer.from('two')
    socket.send('one')
    socket.send(reused)
    reused.fill('x')
    assert.equal(socket.bufferedAmount, 6)
    await release(go)
    await first
    while (received.length < 2) await once(socket, 'message')
    assert.deepEqual(received, ['one', Buffer.from('two')])
    assert.equal(socket.bufferedAmount, 0)
    assert.equal(own.stats().bytesSent, 6)
    socket.close()
    await noted(end)
  })

  test('above maxMessageSize fail a connection that waits for maxInFlight too', { timeout }, async t => {
    const own = serve('script:app', { responseTimeout: 0, maxInFlight: 1, maxMessageSize: 10 })
    t.after(() => own.close({ timeout: 1000 }))
    const go = unique('go')
    const first = own.handleRequest({ url: script(['released', go], start(), body()) })
    const socket = own.connect(script(...accept()))
    const failed = once(socket, 'error')
    socket.send('x'.repeat(11))
    assert.equal((await failed).error.code, 'ERR_PYTHON_MESSAGE_TOO_LARGE')
    await release(go)
    await first
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

  for (const [what, listen] of [
    ['was for one only', (socket, listener) => socket.addEventListener('message', listener, { once: true })],
    ['is removed', (socket, listener) => {
      const once = event => { socket.removeEventListener('message', once); listener(event) }
      socket.addEventListener('message', once)
    }],
    ['has a signal that aborts', (socket, listener) => {
      const controller = new AbortController()
      socket.addEventListener('message', event => { controller.abort(); listener(event) }, { signal: controller.signal })
    }],
    ['was a handler that is set to null', (socket, listener) => {
      socket.onmessage = event => { socket.onmessage = null; listener(event) }
    }]
  ]) {
    test(`after a listener that ${what} wait for the next reader`, { timeout }, async () => {
      const socket = connectInOneBatch([...accept(), text('1'), text('2'), text('3'), close()])
      const closed = once(socket, 'close')
      const received = []
      listen(socket, ({ data }) => received.push(data))
      await closed
      for await (const message of socket) received.push(message)
      assert.deepEqual(received, ['1', '2', '3'])
    })
  }

  test('that nobody listens for any more hold the application back', { timeout }, async () => {
    const name = unique('sent')
    const socket = connect([...accept(), ['repeat', 100, name, { type: 'websocket.send', text: { $fill: 16_384 } }], close()])
    await once(socket, 'message')
    await turns()
    assert.ok(await notedSoFar(name) < 100)
    let received = 1
    for await (const { length } of socket) received += length / 16_384
    assert.equal(received, 100)
  })

  test('reach no listener after its close', { timeout }, async () => {
    const socket = connectInOneBatch([...accept(), text('1'), text('2'), close({ code: 3001 })])
    const seen = []
    socket.onmessage = ({ data }) => { seen.push(data); socket.close() }
    assert.equal((await once(socket, 'close')).code, 3001)
    assert.deepEqual(seen, ['1'])
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

// Scenario: the events of one batch were told in one loop, and whoever awaited one of them missed the next.
describe('events of one batch', () => {
  const fail = ['fail', 'broken']
  for (const [steps, types, ...end] of [
    [[...accept(), close()], ['open', 'close']],
    [[...accept(), text('1'), text('2'), close()], ['open', 'message', 'message', 'close']],
    [[...accept(), text('1')], ['open', 'message', 'error', 'close'], fail],
    [[['receive'], close()], ['error', 'close']],
    [[['receive']], ['error', 'close'], fail]
  ]) {
    test(`can be awaited one after the other: ${types.join(', ')}${end.length > 0 ? ', of a failure' : ''}`, { timeout: 10_000 }, async () => {
      const socket = connectInOneBatch(steps, ...end)
      for (const type of types) await once(socket, type)
      assert.equal(socket.readyState, socket.CLOSED)
    })
  }

  test('can be awaited with events.once', { timeout: 10_000 }, async () => {
    const socket = connectInOneBatch([...accept(), text('1'), text('2'), text('3'), close()])
    const received = []
    while (received.length < 3) received.push((await events.once(socket, 'message'))[0].data)
    await events.once(socket, 'close')
    assert.deepEqual(received, ['1', '2', '3'])
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

  test('by a close before the connection is open is an error, then a close with 1006', { timeout }, async () => {
    const [asked, name] = [unique('asked'), unique('end')]
    const socket = connect([['receive'], ['note', asked], ['receive', name]])
    const events = []
    for (const type of ['open', 'error', 'close']) socket.addEventListener(type, () => events.push([type, socket.readyState]))
    await noted(asked)
    const failed = once(socket, 'error')
    socket.close(3001, 'too late')
    assert.equal(socket.readyState, socket.CLOSING)
    assert.equal((await failed).error.name, 'AbortError')
    const { code, reason, wasClean } = await once(socket, 'close')
    assert.deepEqual({ code, reason, wasClean }, { code: 1006, reason: '', wasClean: false })
    assert.deepEqual(events, [['error', socket.CLOSED], ['close', socket.CLOSED]])
    assert.deepEqual(await noted(name), { type: 'websocket.disconnect', code: 1006, reason: '' })
    for await (const message of socket) assert.fail(`no message: ${message}`)
  })

  test('by a handler that closes before the connection is open is an error, then a close with 1006', { timeout }, async () => {
    const closing = serve('script:app', { responseTimeout: 0 })
    const asked = unique('asked')
    const socket = closing.connect(script(['receive'], ['note', asked], ['receive']))
    await noted(asked)
    const failed = once(socket, 'error')
    const ended = closing.close({ timeout: 1000 })
    assert.equal((await failed).error.code, 'ERR_PYTHON_CLOSED')
    assert.equal((await once(socket, 'close')).code, 1006)
    await ended
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

  for (const code of [0, 999, 1001, 1005, 1006, 2999, 5000, 65_536 + 1000, NaN, null, '', 'a', 2999.4, {}]) {
    test(`may not have the code ${JSON.stringify(code)}`, { timeout }, async () => {
      const socket = echo()
      await once(socket, 'open')
      assert.throws(() => socket.close(code), { name: 'InvalidAccessError' })
      assert.equal(socket.readyState, socket.OPEN)
      socket.close()
    })
  }

  for (const [given, code] of [['1000', 1000], [3000.7, 3001], [3000.5, 3000], [3001.5, 3002], [4999.5, null], [{ valueOf: () => 3000 }, 3000]]) {
    test(`has the code that the standard makes of ${JSON.stringify(given)}: ${code}`, { timeout }, async () => {
      const name = unique('end')
      const socket = echo(name)
      await once(socket, 'open')
      if (code === null) {
        assert.throws(() => socket.close(given), { name: 'InvalidAccessError' })
        socket.close()
        return
      }
      socket.close(given)
      assert.equal((await once(socket, 'close')).code, code)
      assert.equal((await noted(name)).code, code)
    })
  }

  // Scenario: the state was CLOSING already when the native side threw for the BigInt, and nothing ended it any more.
  test('with what is no number changes nothing', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    for (const code of [3000n, Symbol('a'), Object.create(null)]) assert.throws(() => socket.close(code), TypeError)
    assert.throws(() => socket.close(3000, Symbol('a')), TypeError)
    assert.equal(socket.readyState, socket.OPEN)
    socket.close(3000)
    assert.equal((await once(socket, 'close')).code, 3000)
  })

  for (const [given, reason] of [['\ud800', '\ufffd'], [null, 'null'], [5, '5'], [undefined, '']]) {
    test(`has the reason that the standard makes of ${JSON.stringify(given)}`, { timeout }, async () => {
      const name = unique('end')
      const socket = echo(name)
      await once(socket, 'open')
      socket.close(3000, given)
      assert.equal((await once(socket, 'close')).reason, reason)
      assert.equal((await noted(name)).reason, reason)
    })
  }

  test('without a code has no reason', { timeout }, async () => {
    const name = unique('end')
    const socket = echo(name)
    await once(socket, 'open')
    socket.close(undefined, 'lost')
    const { code, reason } = await once(socket, 'close')
    assert.deepEqual({ code, reason }, { code: 1005, reason: '' })
    assert.deepEqual(await noted(name), { type: 'websocket.disconnect', code: 1005, reason: '' })
  })

  test('may not have a reason that fits no close frame', { timeout }, async () => {
    const socket = echo()
    await once(socket, 'open')
    assert.throws(() => socket.close(3000, 'ä'.repeat(62)), { name: 'SyntaxError' })
    socket.close(3000, 'ä'.repeat(61))
    assert.equal((await once(socket, 'close')).reason, 'ä'.repeat(61))
  })

  for (const [when, steps, expected] of [['before the accept', [['receive']], 1006], ['after the accept', accept(), 1011]]) {
    test(`by an exception ${when} is an error, then a close with ${expected}`, { timeout }, async () => {
      const socket = connect([...steps, ['fail', 'broken']])
      const closed = once(socket, 'close')
      let readyState
      socket.onerror = () => { readyState = socket.readyState }
      const { error, message } = await once(socket, 'error')
      assert.equal(error.code, 'ERR_PYTHON_EXCEPTION')
      assert.equal(error.pythonType, 'LookupError')
      assert.equal(message, error.message)
      assert.equal(readyState, socket.CLOSED)
      const { code, wasClean } = await closed
      assert.deepEqual({ code, wasClean }, { code: expected, wasClean: false })
    })
  }

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
    const socket = connect([['receive'], denial('start', { status: 429 }), denial('body', { body: bytes('slow down') })])
    assert.equal((await once(socket, 'error')).error.status, 429)
  })

  // Scenario: the application went on, its response in flight, for as long as somebody held the error.
  test('by a denial response whose body nobody reads ends the application', { timeout: 20_000 }, async () => {
    const name = unique('cancelled')
    const socket = connect([['receive'], denial('start', { status: 429 }), denial('body', { body: bytes('first'), more_body: true }), ['forever', name]])
    const { error } = await once(socket, 'error')
    await once(socket, 'close')
    await noted(name)
    assert.equal(await error.response.next(), null)
  })

  for (const [how, read] of [
    ['next()', async response => {
      const chunks = []
      for (let chunk = await response.next(); chunk !== null; chunk = await response.next()) chunks.push(chunk)
      return Buffer.concat(chunks)
    }],
    ['iteration', collect],
    ['stream()', response => collect(response.stream())]
  ]) {
    test(`by a denial response gives its body to whoever begins to read it at the error: ${how}`, { timeout }, async () => {
      const go = unique('go')
      const socket = connect([
        ['receive'], denial('start', { status: 429 }), denial('body', { body: bytes('slow '), more_body: true }),
        ['released', go], denial('body', { body: bytes('down') })
      ])
      const closed = once(socket, 'close')
      const { error } = await once(socket, 'error')
      const whole = read(error.response)
      await closed
      await release(go)
      assert.equal(String(await whole), 'slow down')
    })
  }

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

  // Scenario: null was taken for no error.
  for (const reason of [null, 0, '', new RangeError('enough')]) {
    test(`rejects with the reason of an abort: ${reason}`, { timeout }, async () => {
      const controller = new AbortController()
      const socket = echo(unique('end'), { signal: controller.signal })
      await once(socket, 'open')
      const waiting = socket[Symbol.asyncIterator]().next()
      const closed = once(socket, 'close')
      controller.abort(reason)
      await assert.rejects(waiting, error => error === reason || assert.fail(String(error)))
      await closed
      await assert.rejects(socket[Symbol.asyncIterator]().next(), error => error === reason || assert.fail(String(error)))
    })
  }

  test('that is left closes the connection with 1000', { timeout }, async () => {
    const name = unique('end')
    const socket = connect([...accept(), text('a'), ['echo', name]])
    for await (const message of socket) {
      assert.equal(message, 'a')
      break
    }
    assert.equal((await noted(name)).code, 1000)
  })

  // Scenario: the end of the loop waited for the message that its `next()` waited for.
  test('that is left while it waits closes the connection with 1000 at once', { timeout: 10_000 }, async () => {
    const name = unique('end')
    const socket = echo(name)
    await once(socket, 'open')
    const iterator = socket[Symbol.asyncIterator]()
    const next = iterator.next()
    assert.deepEqual(await iterator.return('left'), { value: 'left', done: true })
    assert.deepEqual(await next, { value: undefined, done: true })
    assert.deepEqual(await iterator.next(), { value: undefined, done: true })
    assert.equal((await noted(name)).code, 1000)
  })

  test('by a stream that is destroyed closes the connection with 1000', { timeout: 10_000 }, async () => {
    const name = unique('end')
    const socket = echo(name)
    const stream = Readable.from(socket)
    stream.resume()
    await once(socket, 'open')
    stream.destroy()
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

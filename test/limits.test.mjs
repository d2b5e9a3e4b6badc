// What a handler lets through and what it refuses: each limit at its value, below and above, directly and behind the http
// adapter; what waits beyond `maxInFlight`, and what becomes of it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { Readable } from 'node:stream'
import { after, describe, test } from 'node:test'
import WebSocket from 'ws'
import { attachWebSocket, createRequestListener } from '../http.js'
import { Request } from '../index.js'
import { collect, failure, noted, notedSoFar, release, serve, timeout, turns } from './fixtures.mjs'
import { accept, body, close, once as nextEvent, part, script, start, unique } from './script.mjs'
import { runFixture } from './processes.mjs'

const handlers = []
const OK = script(start(), body('ok'))

/** A handler that ends with this file. */
function limited (options) {
  const handler = serve('script:app', { responseTimeout: 0, ...options })
  handlers.push(handler)
  return handler
}

// A request that is lost must fail its test alone: nothing else would keep the process.
const alive = setInterval(() => {}, 60_000)

after(async () => {
  clearInterval(alive)
  await Promise.all(handlers.map(handler => handler.close({ timeout: 1000 })))
})

const overloaded = failure('ERR_PYTHON_OVERLOADED')
const bodyTooLarge = failure('ERR_PYTHON_BODY_TOO_LARGE')
const headersTooLarge = failure('ERR_PYTHON_HEADERS_TOO_LARGE')

/** Keeps one request in flight until it is let go. */
function occupy (handler) {
  const name = unique('occupied')
  const answer = handler.handleRequest({ url: script(['note', `${name}.runs`], ['released', name], start(), body(name)) })
  return { answer, name, let: () => release(name), runs: noted(`${name}.runs`) }
}

describe('what a limit may be', () => {
  const refused = failure('ERR_PYTHON_INVALID_ARGUMENT')
  const AMOUNTS = ['maxInFlight', 'maxQueued', 'maxBodySize', 'maxResponseSize', 'maxHeaders', 'maxHeaderSize', 'maxMessageSize']
  const DURATIONS = ['responseTimeout', 'idleTimeout', 'shutdownTimeout', 'disconnectGrace', 'stuckThreshold']

  for (const name of AMOUNTS) {
    test(`${name}: an integer from ${name === 'maxInFlight' ? 1 : 0}, or Infinity`, { timeout }, () => {
      const least = name === 'maxInFlight' ? 1 : 0
      for (const value of [least, 7, Number.MAX_SAFE_INTEGER, Infinity, undefined, null]) limited({ [name]: value })
      for (const value of [least - 1, -Infinity, 1.5, NaN, '7', 7n, true, {}, []]) {
        assert.throws(() => limited({ [name]: value }), refused, `${name}: ${String(value)}`)
      }
    })
  }

  for (const name of DURATIONS) {
    test(`${name}: milliseconds that a timer can take, or Infinity`, { timeout }, () => {
      for (const value of [0, 0.5, 2 ** 31 - 1, Infinity, undefined, null]) limited({ [name]: value })
      for (const value of [-1, 2 ** 31, -Infinity, NaN, '7', 7n, true, {}, []]) {
        assert.throws(() => limited({ [name]: value }), refused, `${name}: ${String(value)}`)
      }
    })
  }
})

describe('maxInFlight and maxQueued', () => {
  test('below and at the limit requests run at once, beyond it they wait in order, then they fail at once', { timeout }, async () => {
    const handler = limited({ maxInFlight: 2, maxQueued: 2 })
    const [first, second] = [occupy(handler), occupy(handler)]
    await Promise.all([first.runs, second.runs])
    const order = []
    const waiting = ['a', 'b'].map(text => handler.handleRequest({ url: script(start(), body(text)) })
      .then(response => { order.push(String(response.body)) }))
    assert.equal(handler.stats().inFlight, 2)
    assert.equal(handler.stats().queued, 2)
    await assert.rejects(handler.handleRequest({ url: OK }), overloaded)
    await assert.rejects(handler.handleStream({ url: OK }), overloaded)
    assert.throws(() => handler.connect(script(...accept())), overloaded)
    assert.equal(handler.stats().rejected, 3)
    first.let()
    await Promise.all(waiting)
    assert.deepEqual(order, ['a', 'b'])
    second.let()
    assert.equal(String((await second.answer).body), second.name)
    await first.answer
    assert.equal(handler.stats().completed, 4)
  })

  test('maxQueued 0: nothing waits', { timeout }, async () => {
    const handler = limited({ maxInFlight: 1, maxQueued: 0 })
    const one = occupy(handler)
    await assert.rejects(handler.handleRequest({ url: OK }), overloaded)
    one.let()
    await one.answer
    assert.equal((await handler.handleRequest({ url: OK })).status, 200)
  })

  test('a body that is written while its request waits arrives whole', { timeout }, async () => {
    const handler = limited({ maxInFlight: 1, maxQueued: 1 })
    const one = occupy(handler)
    const name = unique('body')
    const steps = [['note', `${name}.called`], ['released', name], ['receive', name]]
    const request = new Request({ method: 'POST', url: script(...steps, start(), body()) })
    const waiting = handler.handleStream(request)
    const reused = Buffer.from('green ')
    await request.write(reused)
    reused.fill('x')
    await request.write('tea')
    await request.end()
    one.let()
    await noted(`${name}.called`)
    await release(name)
    assert.equal((await waiting).status, 200)
    assert.deepEqual(await noted(name), { type: 'http.request', body: { $bytes: 'green tea' }, more_body: false })
    await one.answer
  })

  test('a request that is aborted while it waits rejects, never reaches the application, and leaves its place', { timeout }, async () => {
    const handler = limited({ maxInFlight: 1, maxQueued: 1 })
    const one = occupy(handler)
    const controller = new AbortController()
    const reached = unique('reached')
    const waiting = handler.handleRequest({ url: script(['note', reached], start(), body()) }, { signal: controller.signal })
    await assert.rejects(handler.handleRequest({ url: OK }), overloaded)
    const reason = new Error('enough')
    controller.abort(reason)
    await assert.rejects(waiting, error => error === reason)
    assert.equal(handler.stats().aborted, 1)
    assert.equal(handler.stats().queued, 0)
    const next = handler.handleRequest({ url: OK })
    one.let()
    assert.equal((await next).status, 200)
    await one.answer
    assert.equal(await notedSoFar(reached), null)
  })

  test('responseTimeout counts while a request waits', { timeout }, async () => {
    const handler = limited({ maxInFlight: 1, maxQueued: 5, responseTimeout: 150 })
    const stream = await handler.handleStream({ url: script(start(), part('one'), ['forever', unique('never')]) })
    const reached = unique('reached')
    await assert.rejects(handler.handleRequest({ url: script(['note', reached], start(), body()) }), failure('ERR_PYTHON_RESPONSE_TIMEOUT'))
    assert.equal(handler.stats().timedOut, 1)
    assert.equal(handler.stats().queued, 0)
    stream.cancel()
    assert.equal((await handler.handleRequest({ url: OK })).status, 200)
    assert.equal(await notedSoFar(reached), null)
  })

  test('a stream and a WebSocket hold their place until their end', { timeout }, async () => {
    const handler = limited({ maxInFlight: 1, maxQueued: 0 })
    const stream = await handler.handleStream({ url: script(start(), part('one'), ['forever', unique('never')]) })
    await assert.rejects(handler.handleRequest({ url: OK }), overloaded)
    stream.cancel()
    const socket = handler.connect(script(...accept(), ['forever', unique('never')]))
    await nextEvent(socket, 'open')
    await assert.rejects(handler.handleRequest({ url: OK }), overloaded)
    socket.close()
    assert.equal((await handler.handleRequest({ url: OK })).status, 200)
  })

  test('an invalid request is refused at once, takes no place, and counts as failed', { timeout }, async () => {
    const handler = limited({ maxInFlight: 1, maxQueued: 1 })
    const one = occupy(handler)
    await assert.rejects(handler.handleRequest({ url: 'no url' }), failure('ERR_PYTHON_INVALID_URL'))
    const behind = handler.handleRequest({ url: OK })
    one.let()
    await one.answer
    assert.equal((await behind).status, 200)
    assert.deepEqual({ failed: handler.stats().failed, completed: handler.stats().completed }, { failed: 1, completed: 2 })
  })

  test('a request that waits is what it was when it was made', { timeout }, async () => {
    const handler = limited({ maxInFlight: 1, maxQueued: 5 })
    const one = occupy(handler)
    const [first, second] = [unique('first'), unique('second')]
    const bytes = Buffer.from('before')
    const fields = { method: 'POST', url: script(['receive', first], start(), body()), headers: { 'x-a': '1' }, body: bytes }
    const waiting = handler.handleRequest(fields)
    bytes.fill('x')
    fields.url = script(['receive', second], start(), body())
    fields.body = 'other'
    one.let()
    await one.answer
    await waiting
    assert.deepEqual((await noted(first)).body, { $bytes: 'before' })
    assert.equal(await notedSoFar(second), null)
  })

  test('a body that waits is sent whole, written or streamed', { timeout }, async () => {
    const handler = limited({ maxInFlight: 1, maxQueued: 5 })
    const one = occupy(handler)
    const [name, other] = [unique('body'), unique('body')]
    const request = new Request({ method: 'POST', url: script(['swallow', name], start(), body()) })
    await request.write('a')
    const written = handler.handleRequest(request)
    await request.end()
    const streamed = handler.handleRequest({ method: 'POST', url: script(['swallow', other], start(), body()), body: Readable.from(['b']) })
    one.let()
    assert.deepEqual((await Promise.all([one.answer, written, streamed])).map(({ status }) => status), [200, 200, 200])
    assert.ok(await noted(name) >= 1 && await noted(other) >= 1)
  })

  test('a handler that closes lets what waits begin while there is time, then ends it', { timeout }, async () => {
    const handler = limited({ maxInFlight: 1, maxQueued: 5 })
    const one = occupy(handler)
    const waiting = handler.handleRequest({ url: OK })
    const stays = handler.handleRequest({ url: script(['forever', unique('never')]) })
    const ended = assert.rejects(stays, failure('ERR_PYTHON_CLOSED'))
    const closing = handler.close({ timeout: 500 })
    one.let()
    assert.equal((await waiting).status, 200)
    await ended
    await closing
    await one.answer
  })
})

/** Every way to hand over a body of `size` bytes, complete or in parts. */
const WAYS = {
  'a Buffer': (handler, url, size) => handler.handleRequest({ method: 'POST', url, body: Buffer.alloc(size) }),
  'a string': (handler, url, size) => handler.handleRequest({ method: 'POST', url, body: 'x'.repeat(size) }),
  'a Request with a body': (handler, url, size) => handler.handleRequest(new Request({ method: 'POST', url, body: Buffer.alloc(size) })),
  'a stream': (handler, url, size) => handler.handleRequest({ method: 'POST', url, body: Readable.from([Buffer.alloc(size - 1), Buffer.alloc(1)]) }),
  'a web stream': (handler, url, size) => handler.fetch(url, { method: 'POST', body: new Blob([Buffer.alloc(size)]).stream() }),
  async 'written' (handler, url, size) {
    const request = new Request({ method: 'POST', url })
    const answer = handler.handleStream(request)
    answer.catch(() => {})
    await request.write(Buffer.alloc(size - 1)).catch(() => {})
    await request.write(Buffer.alloc(1)).catch(() => {})
    await request.end()
    return answer
  }
}

describe('maxBodySize', () => {
  const handler = limited({ maxBodySize: 10 })

  for (const [name, send] of Object.entries(WAYS)) {
    test(`${name} below and at the limit passes, above it fails`, { timeout }, async () => {
      for (const size of [9, 10]) assert.equal((await send(handler, script(['swallow', unique('n')], start(), body()), size)).status, 200)
      await assert.rejects(send(handler, script(['swallow', unique('n')], start(), body()), 11), bodyTooLarge)
    })
  }

  test('handleRequestSync takes as much', { timeout }, () => {
    const send = size => handler.handleRequestSync({ method: 'POST', url: OK, body: Buffer.alloc(size) })
    assert.equal(send(10).status, 200)
    assert.throws(() => send(11), bodyTooLarge)
  })

  test('a body that is too large counts as failed: nobody gave it up', { timeout }, async () => {
    const counting = limited({ maxBodySize: 10 })
    await assert.rejects(WAYS['a stream'](counting, script(['swallow', unique('n')], start(), body()), 11), bodyTooLarge)
    const { failed, aborted } = counting.stats()
    assert.deepEqual({ failed, aborted }, { failed: 1, aborted: 0 })
  })

  test('0: no body at all; Infinity: any', { timeout }, async () => {
    const none = limited({ maxBodySize: 0 })
    assert.equal((await none.handleRequest({ method: 'POST', url: OK, body: '' })).status, 200)
    await assert.rejects(none.handleRequest({ method: 'POST', url: OK, body: 'x' }), bodyTooLarge)
    assert.equal((await limited({ maxBodySize: Infinity }).handleRequest({ method: 'POST', url: OK, body: Buffer.alloc(2 ** 22) })).status, 200)
  })
})

describe('maxResponseSize', () => {
  const tooLarge = failure('ERR_PYTHON_RESPONSE_TOO_LARGE')
  const handler = limited({ maxResponseSize: 10 })
  const sized = size => script(start(), part('x'.repeat(size - 1)), body('x'))

  test('a buffered response below and at the limit passes, above it fails', { timeout }, async () => {
    for (const size of [9, 10]) assert.equal((await handler.handleRequest({ url: sized(size) })).body.length, size)
    await assert.rejects(handler.handleRequest({ url: sized(11) }), tooLarge)
    await assert.rejects(handler.handleRequest({ url: script(start(), body('x'.repeat(11))) }), tooLarge)
    assert.equal(handler.handleRequestSync({ url: sized(10) }).body.length, 10)
    assert.throws(() => handler.handleRequestSync({ url: sized(11) }), tooLarge)
  })

  test('a stream is not limited', { timeout }, async () => {
    assert.equal((await collect(await handler.handleStream({ url: sized(100) }))).length, 100)
    assert.equal((await (await handler.fetch(sized(100))).text()).length, 100)
  })

  test('Infinity: any', { timeout }, async () => {
    assert.equal((await limited({ maxResponseSize: Infinity }).handleRequest({ url: sized(100) })).body.length, 100)
  })
})

describe('maxHeaders and maxHeaderSize', () => {
  /** Every form headers come in. */
  const FORMS = {
    'an object': count => Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, '1'])),
    'pairs': count => Array.from({ length: count }, () => ['x', '1']),
    'one name with many values': count => ({ x: Array.from({ length: count }, () => '1') })
  }

  for (const [name, make] of Object.entries(FORMS)) {
    test(`${name}: fields below and at the limit pass, above it fail`, { timeout }, async () => {
      const handler = limited({ maxHeaders: 5 })
      for (const count of [4, 5]) assert.equal((await handler.handleRequest({ url: OK, headers: make(count) })).status, 200)
      await assert.rejects(handler.handleRequest({ url: OK, headers: make(6) }), headersTooLarge)
      await assert.rejects(handler.handleRequest(new Request({ url: OK, headers: make(6) })), headersTooLarge)
      assert.throws(() => handler.connect({ url: script(...accept(), close()), headers: make(6) }), headersTooLarge)
      assert.throws(() => handler.handleRequestSync({ url: OK, headers: make(6) }), headersTooLarge)
    })
  }

  /** Requests to which the package adds headers, or lines of its own. */
  const ADDED = {
    nothing: () => ({}),
    'a content-length': () => ({ method: 'POST', body: 'x'.repeat(50) }),
    'a host': url => ({ url: `http://example.com${url}` }),
    'long addresses': () => ({
      socket: { remoteAddress: 'f'.repeat(500), remotePort: 50_000, localAddress: 'e'.repeat(500), localPort: 80 }
    })
  }

  for (const [name, make] of Object.entries(ADDED)) {
    test(`count what the caller gave, and not ${name === 'nothing' ? 'its frame' : name}`, { timeout }, async () => {
      const fields = { url: OK, ...make(OK) }
      const size = fields.url.length + 'x-a12345y'.length
      const headers = { 'x-a': '12345', y: '' }
      for (const [options, passes] of [
        [{ maxHeaders: 2, maxHeaderSize: size }, true], [{ maxHeaders: 1 }, false], [{ maxHeaderSize: size - 1 }, false]
      ]) {
        const handler = limited(options)
        for (const request of [{ ...fields, headers }, new Request({ ...fields, headers })]) {
          const answer = handler.handleRequest(request)
          if (passes) assert.equal((await answer).status, 200)
          else await assert.rejects(answer, headersTooLarge)
        }
      }
    })
  }

  test('count what the caller of a WebSocket gave, and not its handshake', { timeout }, async () => {
    const url = script(...accept(), close())
    const headers = { 'x-a': '12345' }
    const size = url.length + 'x-a12345'.length + 'sec-websocket-protocola, b'.length
    const options = { headers, protocols: ['a', 'b'] }
    await nextEvent(limited({ maxHeaders: 2, maxHeaderSize: size }).connect(url, options), 'open')
    assert.throws(() => limited({ maxHeaders: 1 }).connect(url, options), headersTooLarge)
    assert.throws(() => limited({ maxHeaderSize: size - 1 }).connect(url, options), headersTooLarge)
  })

  test('count the url', { timeout }, async () => {
    const handler = limited({ maxHeaderSize: 1000 })
    await assert.rejects(handler.handleRequest({ url: `/${'u'.repeat(1000)}` }), headersTooLarge)
    await assert.rejects(handler.handleRequest({ url: `http://${'u'.repeat(1000)}/` }), headersTooLarge)
  })
})

describe('maxMessageSize', () => {
  const handler = limited({ maxMessageSize: 10 })

  for (const [kind, make] of Object.entries({ text: size => 'x'.repeat(size), bytes: size => Buffer.alloc(size) })) {
    test(`${kind} below and at the limit pass, above it they close with 1009`, { timeout }, async () => {
      const name = unique('end')
      const socket = handler.connect(script(...accept(), ['echo', name]))
      await nextEvent(socket, 'open')
      for (const size of [9, 10]) {
        socket.send(make(size))
        assert.equal((await nextEvent(socket, 'message')).data.length, size)
      }
      const failed = nextEvent(socket, 'error')
      const closed = nextEvent(socket, 'close')
      socket.send(make(11))
      assert.equal((await failed).error.code, 'ERR_PYTHON_MESSAGE_TOO_LARGE')
      assert.equal((await closed).code, 1009)
      assert.equal((await noted(name)).code, 1009)
    })
  }

  test('counts bytes, not characters', { timeout }, async () => {
    const socket = handler.connect(script(...accept(), ['echo', unique('end')]))
    await nextEvent(socket, 'open')
    const closed = nextEvent(socket, 'close')
    socket.addEventListener('error', () => {})
    socket.send('üüüüü')
    assert.equal((await nextEvent(socket, 'message')).data, 'üüüüü')
    socket.send('üüüüüü')
    assert.equal((await closed).code, 1009)
  })

  test('holds for Request.write', { timeout }, async () => {
    const request = new Request({ url: script(...accept(), ['echo', unique('end')]), websocket: true })
    const response = await handler.handleStream(request)
    await request.write('x'.repeat(10))
    assert.equal((await response.next()).length, 10)
    await assert.rejects(request.write('x'.repeat(11)), failure('ERR_PYTHON_MESSAGE_TOO_LARGE'))
    await assert.rejects(response.next(), failure('ERR_PYTHON_MESSAGE_TOO_LARGE'))
  })
})

describe('times', () => {
  test('responseTimeout: an answer in time passes, a late one does not', { timeout }, async () => {
    const handler = limited({ responseTimeout: 400 })
    assert.equal((await handler.handleRequest({ url: script(['sleep', 0.01], start(), body()) })).status, 200)
    await assert.rejects(handler.handleRequest({ url: script(['sleep', 30], start(), body()) }), failure('ERR_PYTHON_RESPONSE_TIMEOUT'))
    assert.throws(() => handler.handleRequestSync({ url: script(['sleep', 30], start(), body()) }), failure('ERR_PYTHON_RESPONSE_TIMEOUT'))
  })

  test('idleTimeout: parts in time pass, a pause above it does not', { timeout }, async () => {
    const handler = limited({ idleTimeout: 400 })
    const alive = script(start(), part('a'), ['sleep', 0.02], part('b'), ['sleep', 0.02], body('c'))
    assert.equal(String(await collect(await handler.handleStream({ url: alive }))), 'abc')
    const response = await handler.handleStream({ url: script(start(), part('a'), ['forever', unique('idle')]) })
    assert.equal(String(await response.next()), 'a')
    await assert.rejects(response.next(), failure('ERR_PYTHON_IDLE_TIMEOUT'))
    assert.equal(handler.stats().timedOut, 1)
  })

  test('disconnectGrace: a task that ends within it is not cancelled, one that does not is', { timeout }, async () => {
    const handler = limited({ disconnectGrace: 100 })
    const cancelled = unique('cancelled')
    const response = await handler.handleStream({ url: script(start(), part('a'), ['forever', cancelled]) })
    response.cancel()
    assert.equal(await noted(cancelled), true)
    const finished = unique('finished')
    const patient = limited({ disconnectGrace: 60_000 })
    const other = await patient.handleStream({ url: script(start(), part('a'), ['receive'], ['receive'], ['sleep', 0.05], ['note', finished]) })
    other.cancel()
    assert.equal(await noted(finished), true)
  })

  test('shutdownTimeout: the end of the process waits no longer for Python', { timeout }, async () => {
    const { ended, milliseconds } = await runFixture('limits.mjs', ['100'])
    assert.equal(ended, 0)
    const longer = await runFixture('limits.mjs', ['1500'])
    assert.equal(longer.ended, 0)
    assert.ok(longer.milliseconds >= 1500 && milliseconds < longer.milliseconds, `${milliseconds} and ${longer.milliseconds}`)
  })
})

/** A server of the http adapter that ends with the test. */
async function listen (t, handler) {
  const server = http.createServer({ maxHeaderSize: 2 ** 18 }, createRequestListener(handler, { onError () {} }))
  attachWebSocket(server, handler, { onError () {} })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return server.address().port
}

async function ask (port, path, { body: content, ...options } = {}) {
  const req = http.request({ port, host: '127.0.0.1', path, agent: false, ...options })
  req.on('error', () => {})
  if (Array.isArray(content)) for (const chunk of content) req.write(chunk)
  req.end(Array.isArray(content) ? undefined : content)
  const [res] = await once(req, 'response')
  const received = await collect(res)
  return { status: res.statusCode, headers: res.headers, body: String(received) }
}

describe('the http adapter', () => {
  test('answers 413 to a body above maxBodySize, announced or chunked', { timeout }, async t => {
    const port = await listen(t, limited({ maxBodySize: 10 }))
    const path = () => script(['swallow', unique('n')], start(), body('ok'))
    assert.equal((await ask(port, path(), { method: 'POST', body: 'x'.repeat(10) })).status, 200)
    assert.equal((await ask(port, path(), { method: 'POST', body: ['x'.repeat(5), 'x'.repeat(5)] })).status, 200)
    assert.equal((await ask(port, path(), { method: 'POST', body: 'x'.repeat(11) })).status, 413)
    assert.equal((await ask(port, path(), { method: 'POST', body: ['x'.repeat(5), 'x'.repeat(6)] })).status, 413)
  })

  test('answers 431 to more headers than maxHeaders, and to more bytes than maxHeaderSize', { timeout }, async t => {
    const fields = count => Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, '1']))
    const few = await listen(t, limited({ maxHeaders: 20 }))
    assert.equal((await ask(few, OK, { headers: fields(15) })).status, 200)
    assert.equal((await ask(few, OK, { headers: fields(21) })).status, 431)
    const short = await listen(t, limited({ maxHeaderSize: 1000 }))
    assert.equal((await ask(short, OK, { headers: { x: 'v'.repeat(500) } })).status, 200)
    assert.equal((await ask(short, OK, { headers: { x: 'v'.repeat(1000) } })).status, 431)
  })

  test('answers 503 with Retry-After beyond maxQueued, to WebSockets too, and serves on', { timeout }, async t => {
    const handler = limited({ maxInFlight: 1, maxQueued: 1 })
    const port = await listen(t, handler)
    const one = occupy(handler)
    await one.runs
    const waiting = handler.handleRequest({ url: OK })
    const refused = await ask(port, OK)
    assert.equal(refused.status, 503)
    assert.equal(refused.headers['retry-after'], '1')
    const socket = new WebSocket(`ws://127.0.0.1:${port}${script(...accept(), close())}`)
    socket.on('error', () => {})
    const [, answer] = await once(socket, 'unexpected-response')
    answer.resume()
    assert.equal(answer.statusCode, 503)
    assert.equal(answer.headers['retry-after'], '1')
    one.let()
    assert.equal((await waiting).status, 200)
    await one.answer
    assert.equal((await ask(port, OK)).body, 'ok')
  })

  test('a client that leaves while its request waits leaves its place', { timeout }, async t => {
    const handler = limited({ maxInFlight: 1, maxQueued: 1 })
    const port = await listen(t, handler)
    const one = occupy(handler)
    await one.runs
    const reached = unique('reached')
    const req = http.request({ port, host: '127.0.0.1', path: script(['note', reached], start(), body()), agent: false }).end()
    req.on('error', () => {})
    while (handler.stats().queued === 0) await turns(1)
    req.destroy()
    while (handler.stats().queued === 1) await turns(1)
    assert.equal(handler.stats().aborted, 1)
    one.let()
    await one.answer
    assert.equal((await ask(port, OK)).body, 'ok')
    assert.equal(await notedSoFar(reached), null)
  })

  test('closes a WebSocket whose message is above maxMessageSize with 1009', { timeout }, async t => {
    const port = await listen(t, limited({ maxMessageSize: 10 }))
    const socket = new WebSocket(`ws://127.0.0.1:${port}${script(...accept(), ['echo', unique('end')])}`)
    await once(socket, 'open')
    socket.send('x'.repeat(10))
    assert.equal(String((await once(socket, 'message'))[0]), 'x'.repeat(10))
    socket.send('x'.repeat(11))
    assert.equal((await once(socket, 'close'))[0], 1009)
  })
})

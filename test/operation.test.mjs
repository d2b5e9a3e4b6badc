// What an operator sees of a handler: stats(), the diagnostics channels, the async context of the caller, the warning of a
// Python thread that is stuck.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { Request } from '../index.js'
import { collect, failure, notedSoFar, release, serve, timeout, turns } from './fixtures.mjs'
import { accept, body, close, once, part, script, start, text, unique } from './script.mjs'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'python-node-'))
const handlers = []
const OK = script(start(), body('ok'))

/** A handler that ends with this file. */
function make (options) {
  const handler = serve('script:app', { responseTimeout: 0, disconnectGrace: 0, ...options })
  handlers.push(handler)
  return handler
}

// An event that is lost must fail its test alone: nothing else would keep the process.
const alive = setInterval(() => {}, 60_000)

after(async () => {
  clearInterval(alive)
  await Promise.all(handlers.map(handler => handler.close({ timeout: 1000 })))
  fs.rmSync(folder, { recursive: true })
})

const NONE = {
  inFlight: 0,
  queued: 0,
  openStreams: 0,
  openSockets: 0,
  completed: 0,
  failed: 0,
  aborted: 0,
  timedOut: 0,
  rejected: 0,
  bytesSent: 0,
  bytesReceived: 0
}

/** What is the handler's own, without the process's times. */
function counts (handler) {
  const { loopLag, waitingForPython, ...own } = handler.stats()
  assert.ok(loopLag >= 0 && waitingForPython >= 0)
  return own
}

describe('stats()', () => {
  test('begins at zero, and is each handler\'s own', { timeout }, async () => {
    const [busy, idle] = [make(), make()]
    assert.deepEqual(counts(busy), NONE)
    await busy.handleRequest({ url: OK })
    assert.deepEqual(counts(busy), { ...NONE, completed: 1, bytesReceived: 2 })
    assert.deepEqual(counts(idle), NONE)
  })

  const OUTCOMES = {
    completed: handler => handler.handleRequest({ url: OK }),
    'completed stream': async handler => collect(await handler.handleStream({ url: OK })),
    'completed fetch': async handler => (await handler.fetch(OK)).text(),
    failed: handler => assert.rejects(handler.handleRequest({ url: script(['fail', 'it']) })),
    'failed stream': async handler => {
      const response = await handler.handleStream({ url: script(start(), part(), ['fail', 'it']) })
      await assert.rejects(collect(response), failure('ERR_PYTHON_EXCEPTION'))
    },
    aborted: async handler => {
      const controller = new AbortController()
      const answer = handler.handleRequest({ url: script(['forever', unique('never')]) }, controller.signal)
      controller.abort()
      await assert.rejects(answer, { name: 'AbortError' })
    },
    'aborted stream': async handler => {
      const response = await handler.handleStream({ url: script(start(), part('a'), ['forever', unique('never')]) })
      response.cancel()
    }
  }

  for (const [name, run] of Object.entries(OUTCOMES)) {
    test(`counts once what is ${name}`, { timeout }, async () => {
      const handler = make()
      await run(handler)
      const [outcome] = name.split(' ')
      const { completed, failed, aborted, timedOut, inFlight, openStreams } = counts(handler)
      assert.deepEqual({ completed, failed, aborted, timedOut, inFlight, openStreams },
        { completed: 0, failed: 0, aborted: 0, timedOut: 0, inFlight: 0, openStreams: 0, [outcome]: 1 })
    })
  }

  test('counts what timed out, what is refused, what waits and what is open', { timeout }, async () => {
    const handler = make({ responseTimeout: 100, maxInFlight: 1, maxQueued: 1 })
    const stream = await handler.handleStream({ url: script(start(), part('a'), ['forever', unique('never')]) })
    assert.deepEqual(counts(handler), { ...NONE, inFlight: 1, openStreams: 1, bytesReceived: handler.stats().bytesReceived })
    const waiting = handler.handleRequest({ url: OK })
    await assert.rejects(handler.handleRequest({ url: OK }), failure('ERR_PYTHON_OVERLOADED'))
    assert.deepEqual([handler.stats().queued, handler.stats().rejected], [1, 1])
    await assert.rejects(waiting, failure('ERR_PYTHON_RESPONSE_TIMEOUT'))
    stream.cancel()
    const { timedOut, aborted, rejected, inFlight, queued, openStreams } = counts(handler)
    assert.deepEqual({ timedOut, aborted, rejected, inFlight, queued, openStreams },
      { timedOut: 1, aborted: 1, rejected: 1, inFlight: 0, queued: 0, openStreams: 0 })
  })

  test('counts open WebSockets, until either side closes', { timeout }, async () => {
    const handler = make()
    const socket = handler.connect(script(...accept(), ['echo', unique('end')]))
    await once(socket, 'open')
    assert.deepEqual([handler.stats().openSockets, handler.stats().inFlight, handler.stats().openStreams], [1, 1, 0])
    socket.close()
    const other = handler.connect(script(...accept(), close()))
    await once(other, 'close')
    assert.deepEqual(counts(handler), { ...NONE, completed: 2 })
  })

  test('counts the bytes of bodies and messages both ways', { timeout }, async () => {
    const handler = make()
    await handler.handleRequest({ method: 'POST', url: script(start(), body('abc')), body: 'grüße' })
    assert.deepEqual([handler.stats().bytesSent, handler.stats().bytesReceived], [7, 3])
    const request = new Request({ method: 'POST', url: script(['swallow', unique('n')], start(), part('de'), body('f')) })
    const answer = handler.handleStream(request)
    await request.write('ab')
    await request.end()
    await collect(await answer)
    assert.deepEqual([handler.stats().bytesSent, handler.stats().bytesReceived], [9, 6])
    const socket = handler.connect(script(...accept(), ['echo', unique('end')]))
    await once(socket, 'open')
    socket.send('x'.repeat(10))
    await once(socket, 'message')
    socket.close()
    assert.deepEqual([handler.stats().bytesSent, handler.stats().bytesReceived], [19, 16])
  })

  test('loopLag and waitingForPython grow while the Python thread is held up, and loopLag falls again', { timeout }, async () => {
    const handler = make({ stuckThreshold: 0 })
    await handler.handleRequest({ url: OK })
    const before = handler.stats().waitingForPython
    const file = path.join(folder, unique('file'))
    const holding = handler.handleRequest({ url: script(['block', 'sleep', file], start(), body()) })
    while (handler.stats().loopLag < 50) {
      handler.handleRequest({ url: OK })
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    fs.writeFileSync(file, '')
    await holding
    await turns()
    const { loopLag, waitingForPython } = handler.stats()
    assert.ok(waitingForPython - before >= 50, `${waitingForPython - before}`)
    assert.ok(loopLag < 50, `${loopLag}`)
  })
})

const NAMES = ['start', 'headers', 'end', 'error']

/** Collects what is published until the test ends. */
function subscribe (t) {
  const seen = []
  for (const name of NAMES) {
    const listener = message => seen.push({ name, message, error: message.error, response: message.response })
    diagnostics.subscribe(`python-node:request:${name}`, listener)
    t.after(() => diagnostics.unsubscribe(`python-node:request:${name}`, listener))
  }
  seen.names = () => seen.map(({ name }) => name)
  return seen
}

describe('diagnostics channels', () => {
  const handler = make()

  test('a request that succeeds: start, headers, end, with one object', { timeout }, async t => {
    const seen = subscribe(t)
    await handler.handleRequest({ method: 'POST', url: OK })
    assert.deepEqual(seen.names(), ['start', 'headers', 'end'])
    const [{ message }] = seen
    assert.ok(seen.every(event => event.message === message))
    assert.equal(typeof message.id, 'number')
    assert.deepEqual([message.method, message.url, message.response.status, message.error], ['POST', OK, 200, undefined])
    assert.equal(seen[0].response, undefined)
  })

  test('two requests have two objects and two ids', { timeout }, async t => {
    const seen = subscribe(t)
    await Promise.all([handler.handleRequest({ url: OK }), handler.handleRequest({ url: OK })])
    assert.equal(new Set(seen.map(({ message }) => message)).size, 2)
    assert.equal(new Set(seen.map(({ message }) => message.id)).size, 2)
  })

  test('one that fails: start, error, end; the error is the promise\'s', { timeout }, async t => {
    const seen = subscribe(t)
    const error = await handler.handleRequest({ url: script(['fail', 'it']) }).catch(reason => reason)
    assert.deepEqual(seen.names(), ['start', 'error', 'end'])
    assert.equal(seen[1].error, error)
  })

  test('one that times out: start, error, end', { timeout }, async t => {
    const seen = subscribe(t)
    const hasty = make({ responseTimeout: 50 })
    await assert.rejects(hasty.handleRequest({ url: script(['forever', unique('never')]) }))
    assert.deepEqual(seen.names(), ['start', 'error', 'end'])
    assert.equal(seen[1].error.code, 'ERR_PYTHON_RESPONSE_TIMEOUT')
  })

  test('one that is aborted: start, error, end; the error is the reason', { timeout }, async t => {
    const seen = subscribe(t)
    const controller = new AbortController()
    const answer = handler.handleRequest({ url: script(['forever', unique('never')]) }, controller.signal)
    const reason = new Error('enough')
    controller.abort(reason)
    await assert.rejects(answer, error => error === reason)
    assert.deepEqual(seen.names(), ['start', 'error', 'end'])
    assert.equal(seen[1].error, reason)
  })

  test('one that the native side refuses: what has a start has an end', { timeout }, async t => {
    const seen = subscribe(t)
    await assert.rejects(handler.handleRequest({ url: OK, headers: { x: 'a\0b' } }), failure('ERR_PYTHON_INVALID_HEADER'))
    assert.equal(seen.filter(({ name }) => name === 'start').length, seen.filter(({ name }) => name === 'end').length, String(seen.names()))
  })

  test('a stream: headers at its head, end at its end', { timeout }, async t => {
    const seen = subscribe(t)
    const name = unique('released')
    const response = await handler.handleStream({ url: script(start({ status: 201 }), part('a'), ['released', name], body('b')) })
    assert.deepEqual(seen.names(), ['start', 'headers'])
    assert.equal(seen[1].response.status, 201)
    const own = seen[0].message.id
    await release(name)
    await collect(response)
    assert.deepEqual(seen.filter(({ message }) => message.id === own).map(({ name }) => name), ['start', 'headers', 'end'])
  })

  test('a stream that fails: start, headers, error, end', { timeout }, async t => {
    const seen = subscribe(t)
    const response = await handler.handleStream({ url: script(start(), part('a'), ['fail', 'it']) })
    const error = await collect(response).catch(reason => reason)
    assert.deepEqual(seen.names(), ['start', 'headers', 'error', 'end'])
    assert.equal(seen[2].error, error)
  })

  test('a stream that nobody reads on: start, headers, end', { timeout }, async t => {
    const seen = subscribe(t)
    const response = await handler.handleStream({ url: script(start(), part('a'), ['forever', unique('never')]) })
    response.cancel()
    assert.deepEqual(seen.names(), ['start', 'headers', 'end'])
  })

  test('a WebSocket: headers at its accept, end at its close', { timeout }, async t => {
    const seen = subscribe(t)
    const name = unique('released')
    const socket = handler.connect(script(...accept(), text('a'), ['released', name], close()))
    const closed = once(socket, 'close')
    await once(socket, 'open')
    assert.deepEqual(seen.names(), ['start', 'headers'])
    assert.equal(seen[1].response.status, 101)
    const own = seen[0].message.id
    await release(name)
    await closed
    for (let at = seen.length - 1; at >= 0; at--) if (seen[at].message.id !== own) seen.splice(at, 1)
    assert.deepEqual(seen.names(), ['start', 'headers', 'end'])
  })

  test('a request in the queue has started', { timeout }, async t => {
    const narrow = make({ maxInFlight: 1 })
    const stream = await narrow.handleStream({ url: script(start(), part('a'), ['forever', unique('never')]) })
    const seen = subscribe(t)
    const waiting = narrow.handleRequest({ url: OK })
    assert.deepEqual(seen.names(), ['start'])
    stream.cancel()
    await waiting
    assert.deepEqual(seen.filter(({ message }) => message.url === OK).map(({ name }) => name), ['start', 'headers', 'end'])
  })

  test('a request that is refused, invalid, or given up in the queue: start, error, end', { timeout }, async t => {
    const narrow = make({ maxInFlight: 1, maxQueued: 1 })
    const stream = await narrow.handleStream({ url: script(start(), part('a'), ['forever', unique('never')]) })
    const seen = subscribe(t)
    const controller = new AbortController()
    const waiting = narrow.handleRequest({ url: OK }, controller.signal)
    assert.deepEqual(seen.splice(0).map(({ name }) => name), ['start'])
    const refused = await narrow.handleRequest({ url: OK }).catch(reason => reason)
    assert.deepEqual(seen.splice(0).map(({ name, error }) => [name, error?.code]), [
      ['start', undefined], ['error', 'ERR_PYTHON_OVERLOADED'], ['end', 'ERR_PYTHON_OVERLOADED']
    ])
    assert.equal(refused.code, 'ERR_PYTHON_OVERLOADED')
    controller.abort(new Error('own'))
    await assert.rejects(waiting, { message: 'own' })
    assert.deepEqual(seen.names(), ['error', 'end'])
    seen.length = 0
    stream.cancel()
    await assert.rejects(handler.handleRequest({ url: OK, headers: { a: '\n' } }))
    assert.deepEqual(seen.names(), ['start', 'error', 'end'])
  })

  test('a request that is waited for: start, headers, end', { timeout }, t => {
    const seen = subscribe(t)
    handler.handleRequestSync({ url: OK })
    assert.deepEqual(seen.names(), ['start', 'headers', 'end'])
    assert.equal(seen[1].response.status, 200)
  })

  test('cost nothing without subscribers: nothing is read for them, nothing is published', { timeout }, async t => {
    const reads = async () => {
      let count = 0
      await handler.handleRequest({ url: OK, get method () { count++; return 'GET' } })
      return count
    }
    const unwatched = await reads()
    const seen = subscribe(t)
    const watched = await reads()
    assert.ok(watched > unwatched, `${watched} and ${unwatched}`)
    seen.length = 0
    const publish = NAMES.map(name => t.mock.method(diagnostics.channel(`python-node:request:${name}`), 'publish'))
    await reads()
    assert.ok(publish.some(({ mock }) => mock.callCount() > 0), 'the mock is what is called')
  })

  test('nobody is told any more who has unsubscribed', { timeout }, async () => {
    const published = NAMES.map(name => diagnostics.channel(`python-node:request:${name}`))
    assert.ok(published.every(channel => !channel.hasSubscribers))
    const seen = []
    const listener = message => seen.push(message)
    diagnostics.subscribe('python-node:request:end', listener)
    await handler.handleRequest({ url: OK })
    assert.equal(seen.length, 1)
    diagnostics.unsubscribe('python-node:request:end', listener)
    await handler.handleRequest({ url: OK })
    assert.equal(seen.length, 1)
  })
})

describe('AsyncLocalStorage', () => {
  const handler = make()
  const storage = new AsyncLocalStorage()
  /** Runs a test in a context of its own, beside another one. */
  const inContext = run => Promise.all(['one', 'two'].map(value => storage.run(value, () => run(value))))

  test('is kept across handleRequest, handleStream, iteration and next()', { timeout }, () => inContext(async value => {
    await handler.handleRequest({ url: OK })
    assert.equal(storage.getStore(), value)
    const response = await handler.handleStream({ url: script(start(), part('a'), ['sleep', 0.005], body('b')) })
    assert.equal(storage.getStore(), value)
    for await (const chunk of response) assert.deepEqual([chunk.length, storage.getStore()], [1, value])
    assert.equal(storage.getStore(), value)
    await assert.rejects(handler.handleRequest({ url: script(['fail', 'it']) }))
    assert.equal(storage.getStore(), value)
  }))

  test('is kept where then() is called without await', { timeout }, () => inContext(value => {
    return handler.handleRequest({ url: OK }).then(() => assert.equal(storage.getStore(), value))
  }))

  test('is kept while a request waits in the queue', { timeout }, async () => {
    const narrow = make({ maxInFlight: 1 })
    await inContext(async value => {
      await narrow.handleRequest({ url: OK }, { onDebug () {} })
      assert.equal(storage.getStore(), value)
    })
  })

  test('is that of whoever calls stream(), in its events', { timeout }, () => inContext(async value => {
    const response = await handler.handleStream({ url: script(start(), part('a'), ['sleep', 0.005], part('b'), ['sleep', 0.005], body('c')) })
    const seen = []
    const stream = response.stream()
    for (const name of ['data', 'end', 'close']) stream.on(name, () => seen.push(storage.getStore()))
    await once({ addEventListener: (type, listener) => stream.once(type, listener) }, 'close')
    assert.ok(seen.length >= 3)
    assert.ok(seen.every(each => each === value), String(seen))
  }))

  test('is that of whoever connects, in every event of a WebSocket', { timeout }, () => inContext(async value => {
    const socket = handler.connect(script(...accept(), text('a'), ['sleep', 0.005], text('b'), ['fail', 'it']))
    const seen = []
    for (const name of ['open', 'message', 'error', 'close']) socket.addEventListener(name, ({ type }) => seen.push(`${type} ${storage.getStore()}`))
    await new Promise(resolve => socket.addEventListener('close', resolve))
    assert.deepEqual(seen, ['open', 'message', 'message', 'error', 'close'].map(name => `${name} ${value}`))
  }))

  test('is kept over the messages of a WebSocket that is iterated', { timeout }, () => inContext(async value => {
    const socket = handler.connect(script(...accept(), text('a'), ['sleep', 0.005], text('b'), close()))
    for await (const message of socket) assert.deepEqual([message.length, storage.getStore()], [1, value])
    assert.equal(storage.getStore(), value)
  }))

  test('is the caller\'s in each callback', { timeout }, () => inContext(async value => {
    const seen = new Set()
    const tell = name => () => { seen.add(`${name} ${storage.getStore()}`) }
    const push = { type: 'http.response.push', path: '/pushed', headers: [] }
    const hint = { type: 'http.response.early_hint', links: [{ $bytes: '</a>; rel=preload' }] }
    const debug = { type: 'http.response.debug', info: { a: 1 } }
    const response = await handler.handleStream({ method: 'POST', url: script(['send', debug], ['send', hint], ['send', push], start(), body('b')), body: 'a' }, {
      onEarlyHints: tell('hints'),
      onPush: tell('push'),
      onDebug: tell('debug'),
      onUploadProgress: tell('upload'),
      onDownloadProgress: tell('download')
    })
    await collect(response)
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    assert.deepEqual([...seen].sort(), ['debug', 'download', 'hints', 'push', 'upload'].map(name => `${name} ${value}`))
  }))
})

describe('a Python thread that is stuck', () => {
  /** Holds the Python thread until `done`; the warnings that came meanwhile. */
  async function hold (handler, how, done) {
    const warnings = []
    const take = warning => { if (warning.code === 'PYTHON_STUCK') warnings.push(warning) }
    process.on('warning', take)
    const file = path.join(folder, unique('file'))
    try {
      const holding = handler.handleRequest({ url: script(['block', how, file], start(), body()) })
      await done(warnings)
      fs.writeFileSync(file, '')
      assert.equal((await holding).status, 200)
    } finally {
      fs.writeFileSync(file, '')
      process.off('warning', take)
    }
    return warnings
  }

  const warned = async warnings => {
    while (warnings.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  }
  /** Time enough for the watchdog to look again five times. */
  const andLonger = async warnings => {
    await warned(warnings)
    await new Promise(resolve => setTimeout(resolve, 500))
  }

  for (const how of ['cpu', 'sleep']) {
    test(`in ${how === 'cpu' ? 'a loop' : 'time.sleep'} is warned of once, with Python's stack`, { timeout }, async () => {
      const [warning, ...others] = await hold(make({ stuckThreshold: 100 }), how, andLonger)
      assert.deepEqual(others, [])
      assert.equal(warning.name, 'PythonHandlerWarning')
      assert.equal(warning.code, 'PYTHON_STUCK')
      assert.match(warning.detail, /File ".*script\.py", line \d+, in block\n/)
      assert.match(warning.detail, how === 'sleep' ? /time\.sleep|os\.path\.exists/ : /os\.path\.exists/)
    })
  }

  test('is warned of again when it is stuck again', { timeout }, async () => {
    const handler = make({ stuckThreshold: 100 })
    const watched = handler.handleStream({ url: script(start(), part('a'), ['forever', unique('never')]) })
    assert.equal((await hold(handler, 'cpu', warned)).length, 1)
    // A look of the watchdog that finds it well.
    await new Promise(resolve => setTimeout(resolve, 400))
    await notedSoFar('turn')
    assert.equal((await hold(handler, 'cpu', warned)).length, 1)
    ;(await watched).cancel()
  })

  test('is warned of once, whatever number of handlers wait for it', { timeout }, async () => {
    const [first, second] = [make({ stuckThreshold: 100 }), make({ stuckThreshold: 100 })]
    let waiting
    const warnings = await hold(first, 'cpu', async seen => {
      waiting = second.handleRequest({ url: OK })
      await andLonger(seen)
    })
    await waiting
    assert.equal(warnings.length, 1)
  })

  test('below the threshold, and with 0, is not warned of', { timeout }, async () => {
    const aWhile = () => new Promise(resolve => setTimeout(resolve, 300))
    assert.deepEqual(await hold(make({ stuckThreshold: 0 }), 'cpu', aWhile), [])
    assert.deepEqual(await hold(make({ stuckThreshold: 20_000 }), 'cpu', aWhile), [])
  })
})

// The lifespan of an application (asgiref, specs/lifespan.rst), ready(), close() and what becomes of requests meanwhile.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, describe, test } from 'node:test'
import v8 from 'node:v8'
import vm from 'node:vm'
import { Worker } from 'node:worker_threads'
import { PythonHandler, Request } from '../index.js'
import { docroot, failure, json, noted, notedSoFar, release, serve, timeout, turns, watch } from './fixtures.mjs'
import { runFixture } from './processes.mjs'

after(() => release('never'))

const lifespan = (name, options) => serve(`lifespan:${name}`, options)

/** A ValueError of fixtures/lifespan.py. */
const raised = (code, message, pythonMessage) =>
  ({ ...failure(code, message), pythonType: 'ValueError', pythonMessage, traceback: /^Traceback[^]*lifespan\.py", line \d+[^]*ValueError/ })

describe('the startup', () => {
  test('has this scope, and its state reaches requests as a shallow copy', { timeout }, async () => {
    const handler = lifespan('complete')
    await handler.ready()
    assert.deepEqual(await noted('complete.scope'), {
      type: 'lifespan', asgi: { version: '3.0', spec_version: '2.0' }, state: {}
    })
    assert.deepEqual(json(await handler.handleRequest({ url: '/' })), { shared: ['more'], text: 'kept', thing: 'an object' })
    // A copy: `own` is gone. A shallow one: the list is the same.
    assert.deepEqual(json(await handler.handleRequest({ url: '/' })), { shared: ['more', 'more'], text: 'kept', thing: 'an object' })
    const socket = await handler.handleStream(new Request({ url: '/', websocket: true }))
    assert.match(String(await socket.next()), /'text': 'kept'/)
    await handler.close()
    assert.equal(await notedSoFar('complete.shutdown'), 1)
  })

  test('is waited for by requests of every kind', { timeout }, async () => {
    const handler = lifespan('slow')
    const requests = [
      handler.ready(),
      handler.handleRequest({ url: '/' }),
      handler.handleStream({ url: '/' }),
      handler.handleStream(new Request({ url: '/', websocket: true })),
      handler.fetch('/')
    ]
    const settled = watch(Promise.race(requests))
    await turns()
    assert.equal(settled(), false)
    assert.equal(await notedSoFar('slow.requests'), null)
    await release('slow')
    await Promise.all(requests)
    assert.equal(await noted('slow.started-before'), true)
    await handler.close()
  })

  test('runs on the loop of the requests', { timeout }, async () => {
    assert.equal(json(await lifespan('same_loop').handleRequest({ url: '/' })), true)
  })

  test('that failed rejects requests and ready() with its message', { timeout }, async () => {
    const handler = lifespan('failed')
    const expected = failure('ERR_PYTHON_STARTUP', 'the application\'s startup failed: no database ü')
    await assert.rejects(handler.handleRequest({ url: '/' }), expected)
    await assert.rejects(handler.ready(), expected)
    assert.equal((await handler.ready().catch(error => error)).traceback, undefined)
    await assert.rejects(handler.handleStream({ url: '/' }), expected)
    assert.throws(() => handler.handleRequestSync({ url: '/' }), expected)
    await handler.close()
  })

  test('that failed needs no message', { timeout }, async () => {
    await assert.rejects(lifespan('failed_without_message').ready(), failure('ERR_PYTHON_STARTUP'))
  })

  for (const name of ['unaware', 'returns', 'synchronous', 'answers', 'reads_and_answers', 'reads_and_routes']) {
    test(`of an application without lifespan is none: ${name}`, { timeout }, async () => {
      const handler = lifespan(name)
      assert.deepEqual(json(await handler.handleRequest({ url: '/' })), {})
      await handler.ready()
      await handler.close()
    })

    test(`is required by lifespan: 'on': ${name}`, { timeout }, async () => {
      const handler = lifespan(name, { lifespan: 'on' })
      await assert.rejects(handler.handleRequest({ url: '/' }), failure('ERR_PYTHON_STARTUP'))
      await handler.close()
    })
  }

  for (const mode of ['auto', 'on']) {
    test(`that raised rejects requests and ready() with its traceback: ${mode}`, { timeout }, async () => {
      const handler = lifespan('raises_on_startup', { lifespan: mode })
      const expected = raised('ERR_PYTHON_STARTUP', 'the application\'s startup failed: ValueError: broken startup', 'broken startup')
      await assert.rejects(handler.ready(), expected)
      await assert.rejects(handler.handleRequest({ url: '/' }), expected)
      assert.throws(() => handler.handleRequestSync({ url: '/' }), expected)
      await handler.close()
    })
  }

  for (const name of ['cancelled_by_itself', 'cancelled_by_another']) {
    test(`that was cancelled has failed: ${name}`, { timeout }, async () => {
      const handler = lifespan(name)
      const expected = failure('ERR_PYTHON_STARTUP', /cancelled/)
      await assert.rejects(handler.ready(), expected)
      await assert.rejects(handler.handleRequest({ url: '/' }), expected)
      await handler.close()
    })
  }

  test('is not asked for by lifespan: \'off\'', { timeout }, async () => {
    const handler = lifespan('never', { lifespan: 'off' })
    await handler.ready()
    assert.deepEqual(json(await handler.handleRequest({ url: '/' })), {})
    await handler.close()
  })

  test('may be complete and the task at its end: the state is kept', { timeout }, async () => {
    const handler = lifespan('returns_after_startup')
    assert.deepEqual(json(await handler.handleRequest({ url: '/' })), { text: 'kept' })
    assert.deepEqual(json(await handler.handleRequest({ url: '/' })), { text: 'kept' })
    await handler.close()
  })

  test('is a lifespan of its own for each handler', { timeout }, async () => {
    const [first, second] = [lifespan('returns_after_startup'), lifespan('returns_after_startup', { state: { text: 'given', other: 'b' } })]
    assert.deepEqual(json(await second.handleRequest({ url: '/' })), { text: 'kept', other: 'b' })
    assert.deepEqual(json(await first.handleRequest({ url: '/' })), { text: 'kept' })
    await first.close()
    assert.deepEqual(json(await second.handleRequest({ url: '/' })), { text: 'kept', other: 'b' })
  })

  test('does not hold load() back', { timeout }, async () => {
    const handler = await PythonHandler.load({ docroot, appTarget: 'lifespan:never' })
    const settled = watch(handler.ready())
    await turns()
    assert.equal(settled(), false)
    await handler.close({ timeout: 0 }).catch(() => {})
  })

  test('a message that may not be sent then raises in it, and changes nothing', { timeout }, async () => {
    const handler = lifespan('wrong')
    await handler.ready()
    assert.deepEqual(await noted('wrong'), ['RuntimeError', 'ValueError', 'TypeError', 'ValueError', 'TypeError', 'RuntimeError'])
    await handler.close()
  })
})

describe('requests that wait for the startup', () => {
  test('may be aborted: the application is never called', { timeout }, async () => {
    const handler = lifespan('never')
    const before = await notedSoFar('never.requests')
    const controller = new AbortController()
    const requests = [
      handler.handleRequest({ url: '/' }, controller),
      handler.handleStream({ url: '/' }, controller),
      handler.handleStream(new Request({ url: '/', websocket: true }), controller),
      handler.fetch('/', { signal: controller.signal })
    ]
    await turns()
    const reason = new RangeError('enough')
    controller.abort(reason)
    for (const request of requests) await assert.rejects(request, reason)
    assert.equal(await notedSoFar('never.requests'), before)
    await handler.close({ timeout: 0 }).catch(() => {})
  })

  test('that were aborted are not begun when it is complete', { timeout }, async () => {
    const handler = lifespan('late')
    const controller = new AbortController()
    const aborted = handler.handleRequest({ url: '/?late.aborted' }, controller)
    const kept = handler.handleRequest({ url: '/?late.kept' })
    controller.abort()
    await assert.rejects(aborted, { name: 'AbortError' })
    await release('late')
    await kept
    assert.equal(await notedSoFar('late.kept'), true)
    assert.equal(await notedSoFar('late.aborted'), null)
    await handler.close()
    assert.deepEqual(await noted('late.next'), { type: 'lifespan.shutdown' })
  })

  test('and are given up leave no memory behind', { timeout, skip: process.platform !== 'linux' && 'reads /proc' }, async () => {
    const handler = lifespan('never', { maxHeaderSize: Infinity })
    const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
    const before = resident()
    const giveUp = async request => {
      const controller = new AbortController()
      const answer = handler.handleRequest(request, controller.signal)
      controller.abort()
      await assert.rejects(answer, { name: 'AbortError' })
    }
    // 256 MiB each way.
    for (let round = 0; round < 32; round++) {
      await giveUp({ method: 'POST', url: '/', body: Buffer.alloc(8 * 1024 * 1024, 'x') })
      for (let index = 0; index < 128; index++) await giveUp({ url: '/', headers: { name: 'x'.repeat(64 * 1024) } })
      await turns(1)
    }
    assert.ok(resident() - before < 128 * 1024 * 1024, `${resident() - before} bytes more`)
    await handler.close({ timeout: 0 }).catch(() => {})
  })

  test('have a response timeout', { timeout }, async () => {
    const handler = lifespan('never', { responseTimeout: 50 })
    await assert.rejects(handler.handleRequest({ url: '/' }), failure('ERR_PYTHON_RESPONSE_TIMEOUT'))
    assert.throws(() => handler.handleRequestSync({ url: '/' }), failure('ERR_PYTHON_RESPONSE_TIMEOUT'))
    await handler.close({ timeout: 0 }).catch(() => {})
  })

  test('are rejected when the handler closes', { timeout }, async () => {
    const handler = lifespan('never', { responseTimeout: 0 })
    const request = handler.handleRequest({ url: '/' })
    const rejected = assert.rejects(request, failure('ERR_PYTHON_CLOSED'))
    await handler.close({ timeout: 50 }).catch(() => {})
    await rejected
  })
})

describe('close()', () => {
  test('refuses new requests, waits for those in flight, then shuts down', { timeout }, async () => {
    const handler = lifespan('draining', { responseTimeout: 0 })
    const socket = await handler.handleStream(new Request({ url: '/', websocket: true }))
    const request = handler.handleRequest({ url: '/' })
    await noted('draining.begun')
    const closed = handler.close()
    assert.equal(handler.close(), closed)
    const refused = failure('ERR_PYTHON_CLOSED')
    await assert.rejects(handler.handleRequest({ url: '/' }), refused)
    await assert.rejects(handler.handleStream({ url: '/' }), refused)
    await assert.rejects(handler.fetch('/'), refused)
    assert.throws(() => handler.handleRequestSync({ url: '/' }), refused)
    assert.throws(() => handler.connect('/'), refused)
    const settled = watch(closed)
    await turns()
    assert.equal(settled(), false)
    await release('draining')
    assert.equal((await request).status, 200)
    assert.equal(await socket.next(), null)
    await closed
    assert.deepEqual(await noted('draining.websocket'), { type: 'websocket.disconnect', code: 1001, reason: '' })
    assert.deepEqual(await noted('draining.order'), ['websocket', 'request'])
  })

  test('rejects what is in flight after its timeout', { timeout }, async () => {
    const handler = serve('script:app', { responseTimeout: 0 })
    const url = `/?${encodeURIComponent(JSON.stringify([['forever', 'close.cancelled']]))}`
    const request = assert.rejects(handler.handleRequest({ url }), failure('ERR_PYTHON_CLOSED'))
    await noted('close.cancelled.waits')
    await handler.close({ timeout: 10 }).catch(() => {})
    await request
    assert.equal(await noted('close.cancelled'), true)
  })

  test('rejects with the message of a shutdown that failed', { timeout }, async () => {
    const handler = lifespan('shutdown_failed')
    await handler.ready()
    await assert.rejects(handler.close(), failure('ERR_PYTHON_SHUTDOWN', /disk full/))
  })

  test('rejects with the exception of a shutdown that raised', { timeout }, async () => {
    const handler = lifespan('raises_on_shutdown')
    await handler.ready()
    await assert.rejects(handler.close(),
      raised('ERR_PYTHON_SHUTDOWN', 'the application\'s shutdown failed: ValueError: broken shutdown', 'broken shutdown'))
  })

  test('rejects when the shutdown does not end in time', { timeout }, async () => {
    const handler = lifespan('shutdown_never')
    await handler.ready()
    await assert.rejects(handler.close({ timeout: 50 }), failure('ERR_PYTHON_SHUTDOWN'))
    assert.equal(await noted('shutdown_never'), true)
    // And is cancelled.
    assert.equal(await noted('shutdown_cancelled'), true)
  })

  test('takes an object with milliseconds only', { timeout }, async () => {
    for (const value of [-1, NaN, '1', 5n]) {
      const handler = lifespan('returns')
      await assert.rejects(handler.close({ timeout: value }), failure('ERR_PYTHON_INVALID_ARGUMENT'))
      await assert.rejects(handler.close(value), failure('ERR_PYTHON_INVALID_ARGUMENT'))
      await handler.close()
    }
  })

  test('is what `await using` calls', { timeout }, async () => {
    const before = await notedSoFar('complete.shutdown')
    const handler = lifespan('complete')
    await handler.ready()
    await handler[Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]()
    assert.equal(await notedSoFar('complete.shutdown'), before + 1)
    await assert.rejects(handler.handleRequest({ url: '/' }), failure('ERR_PYTHON_CLOSED'))
    await assert.rejects(handler.ready(), failure('ERR_PYTHON_CLOSED'))
  })

  test('is what becomes of a handler that nobody holds any more', { timeout }, async () => {
    const before = await notedSoFar('complete.shutdown')
    await (async () => { await lifespan('complete').ready() })()
    v8.setFlagsFromString('--expose-gc')
    const collect = vm.runInNewContext('gc')
    while (await notedSoFar('complete.shutdown') === before) {
      collect()
      await turns(1)
    }
    assert.equal(await notedSoFar('complete.shutdown'), before + 1)
  })

  test('is what becomes of the handler of a worker that is terminated, and of no other', { timeout }, async () => {
    const before = await notedSoFar('complete.shutdown')
    const own = lifespan('complete')
    const worker = new Worker(new URL('fixtures/lifespan.mjs', import.meta.url), { argv: ['complete', 'stay'] })
    await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject))
    assert.equal(await notedSoFar('complete.shutdown'), before)
    await worker.terminate()
    while (await notedSoFar('complete.shutdown') === before) await turns(1)
    assert.equal((await own.handleRequest({ url: '/' })).status, 200)
    assert.equal(await notedSoFar('complete.shutdown'), before + 1)
    await own.close()
  })

  test('reaches an application that gave up a receive before', { timeout }, async () => {
    const handler = lifespan('impatient')
    await noted('impatient.ready')
    const closed = handler.close({ timeout: 5000 })
    await turns()
    await release('impatient')
    await closed
    assert.deepEqual(await notedSoFar('impatient.shutdown'), { type: 'lifespan.shutdown' })
  })

  test('of one handler does not touch another', { timeout }, async () => {
    const [first, second] = [lifespan('complete'), lifespan('complete')]
    await Promise.all([first.ready(), second.ready()])
    const before = await notedSoFar('complete.shutdown')
    await first.close()
    assert.equal(await notedSoFar('complete.shutdown'), before + 1)
    assert.equal((await second.handleRequest({ url: '/' })).status, 200)
    await second.close()
    assert.equal(await notedSoFar('complete.shutdown'), before + 2)
  })
})

describe('the process', () => {
  // Scenario: what `close` waited for kept Node alive after `close` had given up.
  for (const [what, args, said] of [
    // A startup is cancelled: nothing is left to be given up.
    ['a startup that does not end', ['never'], /^$/],
    ['a startup that does not end and ready() waits for', ['never', 'ready'], /^ready: ERR_PYTHON_CLOSED\n$/],
    ['a shutdown that does not end', ['shutdown_never', 'ready'], /ERR_PYTHON_SHUTDOWN/]
  ]) {
    test(`ends after a close() that gave up ${what}`, { timeout }, async () => {
      const { ended, stdout } = await runFixture('lifespan.mjs', args, { limit: 5_000 })
      assert.equal(ended, 0)
      assert.match(stdout, said)
    })
  }

  test('settles ready() when the handler closes before its startup has ended', { timeout }, async () => {
    const { stdout } = await runFixture('lifespan.mjs', ['never', 'ready'], { limit: 5_000 })
    assert.match(stdout, /ready: ERR_PYTHON_/)
  })

  for (const name of ['complete', 'shutdown_failed']) {
    test(`shuts the lifespan down at its end: ${name}`, { timeout }, async () => {
      const { ended, stderr } = await runFixture('lifespan.mjs', [name, 'leave'], { limit: 5_000 })
      assert.equal(ended, 0)
      if (name === 'complete') assert.match(stderr, /complete\.shutdown/)
    })
  }

  test('ends within the deadline when the shutdown does not end', { timeout }, async () => {
    const { ended } = await runFixture('lifespan.mjs', ['shutdown_never', 'leave'], { limit: 5_000 })
    assert.equal(ended, 0)
  })
})

// Scenario: they were cancelled, or the lifespan shut the database down under them.
describe('an application that goes on after its response', () => {
  const ENDS = {
    'moment close': ['done', 'shutdown', 'closed'],
    'moment end': ['done', 'shutdown'],
    'moment exit': ['done', 'shutdown'],
    'ever close': ['shutdown', 'closed', 'cancelled'],
    'ever end': ['cancelled', 'shutdown'],
    'ever exit': ['cancelled', 'shutdown']
  }
  for (const [args, expected] of Object.entries(ENDS)) {
    test(`has its time before the shutdown: for a ${args}`, { timeout }, async () => {
      const { ended, stdout, stderr } = await runFixture('background.mjs', args.split(' '))
      assert.deepEqual({ ended, stderr }, { ended: 0, stderr: '' })
      assert.deepEqual(stdout.trim().split('\n'), expected)
    })
  }
})

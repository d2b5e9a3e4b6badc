// Many requests at once: all in flight together, each in a task and a context of its own.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PassThrough } from 'node:stream'
import { runFixture } from './processes.mjs'
import { collect, json, noted, notedSoFar, release, serveHttp as serve, timeout, turns } from './fixtures.mjs'

const app = (name, options) => serve(`many_at_once:${name}`, { responseTimeout: 0, ...options })
const answers = async (handler, requests) => (await Promise.all(requests.map(request => handler.handleRequest(request)))).map(json)
const times = (count, make) => Array.from({ length: count }, (_, index) => make(index))

describe('requests in flight', () => {
  test('a thousand that sleep 50 ms are in flight all at once', { timeout }, async () => {
    const seen = await answers(app('sleepers'), times(1000, () => ({ url: '/1000' })))
    assert.equal(Math.max(...seen), 1000)
  })

  test('ten thousand are each answered with their own', { timeout }, async () => {
    const requests = times(10_000, index => ({ url: `/request/${index}?${index % 5}` }))
    const seen = await answers(app('named'), requests)
    assert.deepEqual(seen, times(10_000, index => `/request/${index}`))
  })

  test('of several handlers are not mixed up', { timeout }, async () => {
    const mounted = times(5, index => app('named', { rootPath: `/mount${index}` }))
    const seen = await Promise.all(times(500, async index => json(await mounted[index % 5].handleRequest({ url: `/${index}?${index % 3}` }))))
    assert.deepEqual(seen, times(500, index => `/mount${index % 5}/${index}`))
  })

  test('buffered, streamed and synchronous ones mix', { timeout }, async () => {
    const handler = app('named')
    const waiting = times(50, index => ({ url: `/${index}?3` })).map((request, index) => index % 2
      ? handler.handleRequest(request).then(json)
      : handler.handleStream(request).then(collect).then(body => JSON.parse(body)))
    assert.equal(json(handler.handleRequestSync({ url: '/sync?3' })), '/sync')
    assert.deepEqual(await Promise.all(waiting), times(50, index => `/${index}`))
  })
})

describe('requests without a pause', () => {
  // Scenario: the Python thread stays awake for the next request; timers and sockets of the application have to get their turn.
  test('one after another leave the loop its other work', { timeout }, async () => {
    const handler = app('other_work')
    let seen = json(await handler.handleRequest({ url: '/start' }))
    while (seen.length < 2) seen = json(await handler.handleRequest({ url: '/' }))
    assert.deepEqual(seen, ['socket', 'timer'])
  })

  test('one after another, then many at once, then one again are all answered', { timeout }, async () => {
    const handler = app('named')
    for (let round = 0; round < 20; round++) {
      for (let index = 0; index < 50; index++) assert.equal(json(await handler.handleRequest({ url: `/${index}?0` })), `/${index}`)
      assert.deepEqual(await answers(handler, times(20, index => ({ url: `/${round}/${index}?0` }))), times(20, index => `/${round}/${index}`))
    }
  })
})

describe('contextvars', () => {
  test('never leak between requests in flight', { timeout }, async () => {
    const waiting = answers(app('contexts'), times(100, index => ({ url: `/${index}` })))
    await turns(3)
    await release('contexts')
    for (const [index, { seen, inner }] of (await waiting).entries()) {
      const name = String(index)
      assert.deepEqual(seen, ['unset', name, name, name])
      assert.deepEqual(inner, [[name, `${name}-inner`], [name, `${name}-other`]])
    }
  })

  test('never leak to later requests, even of an application that never waits', { timeout }, async () => {
    const handler = app('leaves_context')
    for (let turn = 0; turn < 5; turn++) assert.equal(json(await handler.handleRequest({ url: '/' })), 'unset')
    assert.deepEqual(await answers(handler, times(20, () => ({ url: '/' }))), times(20, () => 'unset'))
    assert.equal(json(handler.handleRequestSync({ url: '/' })), 'unset')
  })
})

describe('contextvars that are set', () => {
  test('while an application is imported are its requests\' as well', { timeout }, async () => {
    // Others were imported before, and the loop has run.
    await notedSoFar('turn')
    const handler = serve('context_at_import:app')
    for (let turn = 0; turn < 2; turn++) assert.deepEqual(json(await handler.handleRequest({ url: '/' })), ['kept', 50, 'unset'])
    assert.deepEqual(json(handler.handleRequestSync({ url: '/' })), ['kept', 50, 'unset'])
  })

  for (const name of ['plain', 'instance']) {
    test(`by a function that gives the coroutine do not leak: ${name}`, { timeout }, async () => {
      const handler = serve(`context_at_import:${name}`)
      const seen = await answers(handler, [{ url: '/set' }, { url: '/' }])
      assert.deepEqual(seen, [['kept', 50, 'set'], ['kept', 50, 'unset']])
      assert.deepEqual(json(await serve('context_at_import:app').handleRequest({ url: '/' })), ['kept', 50, 'unset'])
    })
  }
})

describe('tasks', () => {
  test('each request is a real task of its own on the main thread', { timeout }, async () => {
    const waiting = answers(app('tasks'), times(20, () => ({ url: '/' })))
    await turns(3)
    await release('tasks')
    const seen = await waiting
    assert.equal(new Set(seen.map(({ id }) => id)).size, 20)
    for (const facts of seen) {
      assert.deepEqual(facts, {
        id: facts.id, same: true, is_task: true, in_all_tasks: true, running_loop: true, main_thread: true, anyio: true
      })
    }
  })

  test('what finalizers call soon while a task is made is called, and the task runs', { timeout }, async () => {
    for (let count = 1; count < 60; count++) {
      assert.deepEqual(json(await app('collected').handleRequest({ url: `/${count}` })), [0, 1, 2])
    }
  })

  test('a background task outlives the response', { timeout }, async () => {
    assert.equal(json(await app('background').handleRequest({ url: '/task' })), 'accepted')
    assert.equal(await notedSoFar('background-done:task'), null)
    await release('background:task')
    assert.equal(await noted('background-done:task'), 'worker')
  })

  test('an application may go on after its response', { timeout }, async () => {
    for (const [name, handle] of [['buffered', 'handleRequest'], ['streamed', 'handleStream'], ['sync', 'handleRequestSync']]) {
      const response = await app('after_response')[handle]({ url: `/${name}` })
      assert.equal(String(await collect(response)), '"accepted"')
      assert.equal(await noted(`answered:${name}`), true)
      assert.equal(await notedSoFar(`after-done:${name}`), null)
      await release(`after:${name}`)
      assert.equal(await noted(`after-done:${name}`), true)
    }
  })

  test('is not cancelled after its response by the deadlines of the request', { timeout }, async () => {
    const handler = app('after_response', { responseTimeout: 20, disconnectGrace: 0 })
    const controller = new AbortController()
    await handler.handleRequest({ url: '/deadline' }, controller.signal)
    controller.abort()
    await assert.rejects(serve('cancelling:hang', { responseTimeout: 40 }).handleRequest({ url: '/deadline' }))
    await release('after:deadline')
    assert.equal(await noted('after-done:deadline'), true)
  })

  test('timers run while no request is in flight', { timeout }, async () => {
    await app('many_background').handleRequest({ url: '/timer' })
    assert.equal(await noted('timer-done:timer'), true)
  })
})

describe('asyncio and anyio', () => {
  test('asyncio.to_thread leaves the loop free and carries the context', { timeout }, async () => {
    const waiting = app('to_thread').handleRequest({ url: '/' })
    await turns(3)
    await release('to-thread')
    assert.deepEqual(json(await waiting), ['seen in the thread', false])
  })

  test('wait_for, asyncio.timeout and move_on_after', { timeout }, async () => {
    assert.deepEqual(json(await app('timeouts').handleRequest({ url: '/' })), ['wait_for', 'timeout', 'anyio'])
  })

  test('a receive that runs into a timeout loses nothing', { timeout }, async () => {
    const body = new PassThrough()
    const waiting = app('receive_timeout').handleRequest({ method: 'POST', url: '/', body })
    await noted('receive-timed-out')
    body.end('late')
    assert.equal(json(await waiting), 'late')
  })

  test('asyncio.TaskGroup', { timeout }, async () => {
    assert.deepEqual(json(await app('task_group').handleRequest({ url: '/' })), [0, 1, 2])
  })

  test('anyio task groups, their threads and their failures', { timeout }, async () => {
    assert.equal(String(await collect(await app('groups').handleStream({ url: '/' }))), '0123456789.')
    const { sent, results, failed } = await noted('groups')
    assert.deepEqual(sent, times(10, index => index))
    assert.deepEqual(results, [0, 2, 4, 6, 8])
    assert.match(failed, /ExceptionGroup|ValueError/)
  })

  test('several receive() at once all see the disconnect', { timeout }, async () => {
    assert.equal(json(await app('two_receivers').handleRequest({ url: '/' })), 'answered')
    assert.deepEqual(await noted('two-receivers'), ['http.disconnect', 'http.disconnect'])
  })
})

describe('a loop that an application runs inside of the first step of a request', () => {
  test('serves everybody else, and what comes in for the request itself', { timeout }, async () => {
    const { ended, stdout, stderr } = await runFixture('nested.mjs', [])
    assert.deepEqual({ ended, stdout, stderr }, { ended: 0, stdout: 'answered\n', stderr: '' })
  })
})

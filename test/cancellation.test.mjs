// Callers that give up: AbortSignal before, during and after, destroyed streams, bodies left half-read.

import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { Request } from '../index.js'
import { collect, failure, json, noted, notedSoFar, release, serveHttp as serve, timeout, turns } from './fixtures.mjs'

/** Longer than any test: what is not cancelled at once is not cancelled in it. */
const NEVER = 2 ** 31 - 1
const patient = app => serve(`cancelling:${app}`, { disconnectGrace: NEVER, responseTimeout: 0 })
const strict = app => serve(`cancelling:${app}`, { disconnectGrace: 0, responseTimeout: 0 })
const listening = patient('listening')
const DISCONNECT = { type: 'http.disconnect' }

describe('a signal that is aborted before', () => {
  for (const handle of ['handleRequest', 'handleStream']) {
    test(`rejects ${handle} with its reason, and the application is not called`, { timeout }, async () => {
      const handler = patient('hang')
      const reason = new Error('gone')
      await assert.rejects(handler[handle]({ url: '/before' }, AbortSignal.abort(reason)), error => error === reason)
      await assert.rejects(handler[handle]({ url: '/before' }, { signal: AbortSignal.abort() }), { name: 'AbortError' })
      await turns(3)
      assert.equal(await notedSoFar('calls:before'), null)
    })
  }

  test('destroys the stream that is the body, as fetch cancels it', { timeout }, async () => {
    const stream = new PassThrough()
    const reason = new RangeError('enough')
    await assert.rejects(patient('hang').handleRequest({ method: 'POST', url: '/before', body: stream }, AbortSignal.abort(reason)), reason)
    assert.equal(stream.destroyed, true)
    assert.equal(stream.errored, reason)
  })
})

describe('a signal that is aborted while the application works', () => {
  for (const [name, options] of [['itself', signal => signal], ['in options', signal => ({ signal })]]) {
    for (const handle of ['handleRequest', 'handleStream']) {
      test(`given ${name} to ${handle}: rejects with the reason, receive gives the disconnect, send raises an OSError`, { timeout }, async () => {
        const id = `${handle}-${name}`
        const controller = new AbortController()
        const reason = { any: 'value' }
        const answer = listening[handle]({ url: `/${encodeURIComponent(id)}` }, options(controller.signal))
        await noted(`started:${id}`)
        controller.abort(reason)
        await assert.rejects(answer, error => error === reason)
        const { received, sent } = await noted(`ended:${id}`)
        assert.deepEqual(received, [DISCONNECT, DISCONNECT])
        for (const mro of sent) {
          assert.ok(mro.includes('OSError'), mro)
          assert.notEqual(mro[0], 'OSError')
        }
        assert.equal(sent.length, 2)
      })
    }
  }

  test('rejects with the AbortError of DOM by default', { timeout }, async () => {
    const controller = new AbortController()
    const answer = listening.handleRequest({ url: '/default-reason' }, controller.signal)
    await noted('started:default-reason')
    controller.abort()
    await assert.rejects(answer, { name: 'AbortError', code: 20 })
  })

  test('rejects with a TimeoutError for AbortSignal.timeout', { timeout }, async () => {
    const answer = listening.handleRequest({ url: '/signal-timeout' }, AbortSignal.timeout(50))
    await assert.rejects(answer, { name: 'TimeoutError' })
  })

  test('rejects at once, whatever the application does', { timeout }, async () => {
    const controller = new AbortController()
    const answer = patient('hang').handleRequest({ url: '/at-once' }, controller.signal)
    const order = []
    const settled = answer.catch(() => order.push('rejected'))
    controller.abort()
    setImmediate(() => order.push('immediate'))
    await settled
    await new Promise(resolve => setImmediate(resolve))
    assert.deepEqual(order, ['rejected', 'immediate'])
  })

  test('cancels the task at once without a grace period', { timeout }, async () => {
    const controller = new AbortController()
    const answer = strict('hang').handleRequest({ url: '/no-grace' }, controller.signal)
    await noted('started:no-grace')
    controller.abort()
    await assert.rejects(answer, { name: 'AbortError' })
    assert.equal(await noted('ended:no-grace'), 'CancelledError')
  })

  test('cancels the task after the grace period', { timeout }, async () => {
    const controller = new AbortController()
    const handler = serve('cancelling:graceful', { disconnectGrace: 20 })
    const answer = handler.handleRequest({ url: '/short-grace' }, controller.signal)
    await noted('started:short-grace')
    controller.abort()
    await assert.rejects(answer, { name: 'AbortError' })
    await noted('disconnected:short-grace')
    assert.equal(await noted('ended:short-grace'), 'cancelled')
  })

  test('leaves the application its grace period', { timeout }, async () => {
    const controller = new AbortController()
    const answer = patient('graceful').handleRequest({ url: '/long-grace' }, controller.signal)
    await noted('started:long-grace')
    controller.abort()
    await assert.rejects(answer, { name: 'AbortError' })
    await noted('disconnected:long-grace')
    await turns()
    await release('graceful:long-grace')
    assert.equal(await noted('ended:long-grace'), 'in peace')
  })

  test('frees a write that waits', { timeout }, async () => {
    const controller = new AbortController()
    const request = new Request({ method: 'POST', url: '/write' })
    const answer = patient('hang').handleStream(request, controller.signal)
    await noted('started:write')
    const written = request.write(Buffer.alloc(1024 * 1024))
    controller.abort()
    await assert.rejects(answer, { name: 'AbortError' })
    await written
    await request.write('more')
    await request.end()
  })

  test('ends a body that is being read', { timeout }, async () => {
    const controller = new AbortController()
    let returned
    const closed = new Promise(resolve => { returned = resolve })
    const body = (async function * () {
      try {
        while (true) yield Buffer.alloc(1024)
      } finally {
        returned()
      }
    })()
    const answer = patient('hang').handleRequest({ method: 'POST', url: '/body', body }, controller.signal)
    await noted('started:body')
    controller.abort()
    await assert.rejects(answer, { name: 'AbortError' })
    await closed
  })

  test('while the application waits for a thread', { timeout }, async () => {
    const controller = new AbortController()
    const answer = strict('in_thread').handleRequest({ url: '/waits' }, controller.signal)
    await noted('started:waits')
    controller.abort()
    await assert.rejects(answer, { name: 'AbortError' })
    await release('thread:waits')
    assert.equal(await noted('ended:waits'), 'CancelledError')
  })
})

describe('a signal that is aborted while the body is read', () => {
  test('fails the body with the reason, and a send that waits raises', { timeout }, async () => {
    const controller = new AbortController()
    const response = await patient('streaming').handleStream({ url: '/mid-body' }, controller.signal)
    await response.next()
    const reason = new Error('enough')
    controller.abort(reason)
    await assert.rejects(collect(response), error => error === reason)
    const mro = await noted('ended:mid-body')
    assert.ok(mro.includes('OSError'), mro)
  })

  test('fails a next() that waits', { timeout }, async () => {
    const controller = new AbortController()
    const response = await patient('streaming_and_listening').handleStream({ url: '/waiting-next' }, controller.signal)
    assert.equal(String(await response.next()), 'chunk')
    const next = response.next()
    controller.abort()
    await assert.rejects(next, { name: 'AbortError' })
    assert.equal(await noted('ended:waiting-next'), 'http.disconnect')
  })

  test('fails the Readable', { timeout }, async () => {
    const controller = new AbortController()
    const response = await patient('streaming').handleStream({ url: '/readable' }, controller.signal)
    const read = collect(response.stream())
    controller.abort()
    await assert.rejects(read, { name: 'AbortError' })
    await noted('ended:readable')
  })
})

describe('a signal that is aborted after', () => {
  test('changes nothing, and nobody listens to it any more', { timeout }, async () => {
    const controller = new AbortController()
    const { signal } = controller
    const quick = patient('quick')
    const response = await quick.handleRequest({ url: '/' }, signal)
    const streamed = await quick.handleStream({ url: '/' }, { signal })
    assert.equal(getEventListeners(signal, 'abort').length, 0)
    controller.abort()
    assert.equal(json(response), 'quick')
    assert.equal(String(await collect(streamed)), '"quick"')
  })

  test('nobody listens after an error, an abort or a body read to its end', { timeout }, async () => {
    const { signal } = new AbortController()
    await assert.rejects(serve('failing:app').handleRequest({ url: '/value/at-once' }, signal))
    await collect(await serve('response_body:app').handleStream({ url: '/chunks/10/100' }, signal))
    await assert.rejects(patient('quick').handleRequest({ url: 'wrong' }, signal))
    await assert.rejects(serve('cancelling:hang', { responseTimeout: 10 }).handleRequest({ url: '/listeners' }, signal))
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  test('one signal serves many requests without a warning', { timeout }, async t => {
    const warnings = []
    const note = warning => warnings.push(warning)
    process.on('warning', note)
    t.after(() => process.off('warning', note))
    const controller = new AbortController()
    const answers = Array.from({ length: 50 }, (_, index) => patient('hang').handleRequest({ url: `/shared-${index}` }, controller.signal))
    controller.abort()
    const settled = await Promise.allSettled(answers)
    assert.ok(settled.every(({ reason }) => reason === controller.signal.reason))
    await new Promise(resolve => setImmediate(resolve))
    assert.deepEqual(warnings, [])
  })
})

describe('a signal that is none', () => {
  for (const options of ['signal', 1, true, { signal: 'signal' }, { signal: {} }, { signal: { aborted: true } }]) {
    test(`is refused: ${inspect(options)}`, { timeout }, async () => {
      await assert.rejects(patient('quick').handleRequest({ url: '/' }, options), failure('ERR_PYTHON_INVALID_ARGUMENT'))
      await assert.rejects(patient('quick').handleStream({ url: '/' }, options), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    })
  }

  for (const options of [undefined, null, {}, { signal: undefined }, { signal: null }]) {
    test(`may be left out: ${inspect(options)}`, { timeout }, async () => {
      assert.equal(json(await patient('quick').handleRequest({ url: '/' }, options)), 'quick')
    })
  }
})

describe('a response that is not read on', () => {
  test('a destroyed Readable disconnects the application', { timeout }, async () => {
    const response = await patient('streaming_and_listening').handleStream({ url: '/destroyed' })
    response.stream().destroy()
    assert.equal(await noted('ended:destroyed'), 'http.disconnect')
  })

  test('a Readable destroyed with an error emits that error', { timeout }, async () => {
    const response = await patient('streaming').handleStream({ url: '/destroyed-with' })
    const stream = response.stream()
    const error = new Error('own')
    const closed = new Promise(resolve => stream.once('error', resolve))
    stream.destroy(error)
    assert.equal(await closed, error)
    assert.ok((await noted('ended:destroyed-with')).includes('OSError'))
  })

  test('an iteration that is left disconnects the application', { timeout }, async () => {
    const response = await patient('streaming').handleStream({ url: '/left' })
    for await (const chunk of response) {
      assert.ok(chunk.length > 0)
      break
    }
    assert.ok((await noted('ended:left')).includes('OSError'))
    assert.equal(await response.next(), null)
  })

  test('an iteration that throws disconnects the application', { timeout }, async () => {
    const response = await patient('streaming').handleStream({ url: '/thrown' })
    await assert.rejects((async () => {
      for await (const chunk of response) throw new Error(`own: ${chunk.length > 0}`)
    })(), { message: 'own: true' })
    assert.ok((await noted('ended:thrown')).includes('OSError'))
  })

  test('cancels the task at once without a grace period', { timeout }, async () => {
    const response = await strict('streaming').handleStream({ url: '/strict' })
    await response.next()
    response.stream().destroy()
    await noted('ended:strict')
  })
})

describe('the log', () => {
  test('has no line for what came of a disconnect, and one for a fault of the application', { timeout }, async () => {
    const logged = async () => json(await patient('logged').handleRequest({ url: '/' }))
    const before = await logged()
    for (const app of ['streaming', 'wrapping']) {
      const response = await patient(app).handleStream({ url: `/log-${app}` })
      await response.next()
      response.stream().destroy()
      await noted(`ended:log-${app}`)
    }
    await turns(3)
    assert.equal(await logged(), before)
    const controller = new AbortController()
    const answer = patient('after_disconnect').handleRequest({ url: '/log-fault' }, controller.signal)
    await noted('started:log-fault')
    controller.abort()
    await assert.rejects(answer)
    await turns(3)
    assert.equal(await logged(), before + 1)
  })
})

describe('a send that reaches nobody', () => {
  // Asks the application itself: it has to have a turn.
  const isAlive = async () => assert.equal((await patient('logged').handleRequest({ url: '/' })).status, 200)

  test('raises an OSError after a buffered response that is too large, and is no fault', { timeout }, async () => {
    const logged = async () => json(await patient('logged').handleRequest({ url: '/' }))
    const before = await logged()
    const handler = patient('endless', { maxResponseSize: 100_000 })
    await assert.rejects(handler.handleRequest({ url: '/large' }), failure('ERR_PYTHON_RESPONSE_TOO_LARGE'))
    assert.deepEqual(await noted('endless:large'), ['ClientDisconnected', true])
    await turns(3)
    assert.equal(await logged(), before)
  })

  test('raises at last in an application that goes on after its end', { timeout }, async () => {
    const handler = patient('endless')
    assert.equal(String((await handler.handleRequest({ url: '/ended' })).body), 'done')
    assert.deepEqual(await noted('endless:ended'), ['RuntimeError', false])
    await isAlive()
  })
})

describe('tasks that an application leaves behind', () => {
  for (const name of ['raises', 'returns']) {
    test(`get the disconnect when it ${name}`, { timeout }, async () => {
      await assert.rejects(patient('left_behind').handleRequest({ url: `/${name}` }))
      assert.deepEqual(await noted(`listening:${name}`), { type: 'http.disconnect' })
    })
  }

  test('get the disconnect of a WebSocket', { timeout }, async () => {
    const socket = await patient('left_behind').handleStream(new Request({ url: '/socket', websocket: true }))
    await socket.next().catch(() => {})
    assert.equal((await noted('listening:socket')).type, 'websocket.disconnect')
  })

  test('wait for no room: their send raises', { timeout }, async () => {
    const response = await patient('left_behind').handleStream({ url: '/full' })
    await turns()
    assert.equal(await notedSoFar('pumped:full'), null)
    await release('left-behind:full')
    assert.equal(await noted('pumping:full'), 'ClientDisconnected')
    await assert.rejects(collect(response), failure('ERR_PYTHON_EXCEPTION'))
  })
})

describe('many that give up', () => {
  test('a thousand aborted requests leave nothing behind', { timeout }, async () => {
    const handler = patient('counted')
    const controllers = Array.from({ length: 1000 }, () => new AbortController())
    const answers = controllers.map(({ signal }, index) => handler[index % 2 ? 'handleRequest' : 'handleStream']({ url: '/' }, signal))
    const settled = Promise.allSettled(answers)
    while (await notedSoFar('counted') !== 1000) await turns(1)
    for (const controller of controllers) controller.abort()
    assert.ok((await settled).every(({ status, reason }) => status === 'rejected' && reason.name === 'AbortError'))
    assert.equal(json(await handler.handleRequest({ url: '/active' })), 0)
  })

  test('requests aborted in the turn they were made settle, called or not', { timeout }, async () => {
    const handler = patient('counted')
    const answers = Array.from({ length: 500 }, () => {
      const controller = new AbortController()
      const answer = handler.handleStream({ url: '/' }, controller.signal)
      controller.abort()
      return answer
    })
    assert.ok((await Promise.allSettled(answers)).every(({ reason }) => reason?.name === 'AbortError'))
    assert.equal(json(await handler.handleRequest({ url: '/active' })), 0)
  })
})

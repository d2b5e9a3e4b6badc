// What an application does wrong: exceptions, missing responses, messages out of order or of the wrong type.
// Whatever it is, it has a code, and the next request is answered.

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { PythonHandlerError } from '../index.js'
import { collect, failure, json, noted, release, serveHttp as serve, timeout, watch } from './fixtures.mjs'

const failing = serve('failing:app')
const waiting = serve('failing:waiting')

/** The error of a promise that has to reject. */
async function errorOf (promise) {
  let error
  await assert.rejects(promise, rejected => {
    error = rejected
    return true
  })
  assert.ok(error instanceof PythonHandlerError, error)
  return error
}

/** The error of handleRequestSync. */
function errorOfSync (handler, request) {
  let error
  assert.throws(() => handler.handleRequestSync(request), thrown => {
    error = thrown
    return true
  })
  return error
}

async function isAlive () {
  assert.equal(json(await serve('failing:in_callback').handleRequest({ url: '/' })), 'alive')
}

describe('PythonHandlerError', () => {
  test('is an Error with a code and a cause', { timeout }, () => {
    const cause = new Error('cause')
    const error = new PythonHandlerError('ERR_PYTHON_TEST', 'message', { cause })
    assert.ok(error instanceof Error)
    assert.equal(error.name, 'PythonHandlerError')
    assert.equal(error.code, 'ERR_PYTHON_TEST')
    assert.equal(error.message, 'message')
    assert.equal(error.cause, cause)
    assert.match(error.stack, /^PythonHandlerError: message\n/)
    assert.equal('cause' in new PythonHandlerError('ERR_PYTHON_TEST', 'message'), false)
  })
})

describe('an exception before the response', () => {
  for (const [how, pythonType, pythonMessage] of [
    ['value', 'ValueError', 'raised: ä☃'],
    ['custom', 'failing.ShopClosedError', 'closed'],
    ['empty', 'ValueError', ''],
    ['multiline', 'ValueError', 'one\ntwo\0three'],
    ['os', 'FileNotFoundError', '[Errno 2] No such file'],
    ['memory', 'MemoryError', ''],
    ['chained', 'ValueError', 'outer'],
    ['unprintable', 'failing.UnprintableError', ''],
    ['generator-exit', 'GeneratorExit', ''],
    ['stop-async-iteration', 'StopAsyncIteration', '']
  ]) {
    for (const when of ['at-once', 'later', 'after-start']) {
      test(`${how} ${when} rejects with its class, message and traceback`, { timeout }, async () => {
        const request = { url: `/${how}/${when}` }
        for (const error of [
          await errorOf(failing.handleRequest(request)),
          await errorOf(failing.handleStream(request)),
          errorOfSync(failing, request)
        ]) {
          assert.equal(error.code, 'ERR_PYTHON_EXCEPTION')
          assert.equal(error.pythonType, pythonType)
          assert.equal(error.pythonMessage, pythonMessage)
          assert.equal(error.message, pythonMessage === '' ? pythonType : `${pythonType}: ${pythonMessage}`)
          if (how === 'unprintable') return
          assert.match(error.traceback, /^Traceback \(most recent call last\):\n|^The above/m)
          assert.match(error.traceback, /failing\.py", line \d+, in app\n/)
        }
      })
    }
  }

  test('shows the cause of a chained exception', { timeout }, async () => {
    const error = await errorOf(failing.handleRequest({ url: '/chained/at-once' }))
    assert.match(error.traceback, /KeyError: 'missing key'[^]*direct cause[^]*ValueError: outer/)
  })

  test('of a recursion without end is an error as any other', { timeout }, async () => {
    const error = await errorOf(failing.handleRequest({ url: '/recursion/at-once' }))
    assert.equal(error.pythonType, 'RecursionError')
    await isAlive()
  })

  test('whose message holds a lone surrogate reaches JavaScript', { timeout }, async () => {
    const error = await errorOf(failing.handleRequest({ url: '/surrogate/at-once' }))
    assert.equal(error.pythonType, 'ValueError')
    assert.match(error.pythonMessage, /^a.+b$/)
    assert.match(error.traceback, /in app\n/)
  })
})

describe('an exception after the start', () => {
  for (const when of ['after-start-later', 'after-chunk']) {
    test(`${when}: a buffered request rejects`, { timeout }, async () => {
      const request = { url: `/value/${when}` }
      for (const error of [await errorOf(failing.handleRequest(request)), errorOfSync(failing, request)]) {
        assert.equal(error.code, 'ERR_PYTHON_EXCEPTION')
        assert.equal(error.pythonType, 'ValueError')
      }
    })
  }

  test('a stream gives what was sent, then fails, by iteration', { timeout }, async () => {
    const response = await failing.handleStream({ url: '/value/after-chunk' })
    const seen = []
    const error = await errorOf((async () => { for await (const chunk of response) seen.push(String(chunk)) })())
    assert.deepEqual(seen, ['begun'])
    assert.equal(error.code, 'ERR_PYTHON_EXCEPTION')
    assert.match(response.exception, /ValueError: raised/)
    assert.equal(response.exception, error.traceback)
    assert.match(response.toJSON().exception, /ValueError/)
  })

  test('a stream fails by next(), again and again', { timeout }, async () => {
    const response = await failing.handleStream({ url: '/value/after-chunk/next' })
    assert.equal(response.exception, null)
    assert.equal(String(await response.next()), 'begun')
    const pending = [response.next(), response.next()]
    await release('fail:next')
    for (const promise of pending) assert.equal((await errorOf(promise)).pythonType, 'ValueError')
    assert.equal((await errorOf(response.next())).pythonType, 'ValueError')
  })

  test('a stream fails as a Readable', { timeout }, async () => {
    const response = await failing.handleStream({ url: '/value/after-chunk' })
    assert.equal((await errorOf(collect(response.stream()))).pythonType, 'ValueError')
  })

  test('a stream that nobody reads fails without an unhandled rejection', { timeout }, async t => {
    const unhandled = []
    const note = error => unhandled.push(error)
    process.on('unhandledRejection', note)
    process.on('uncaughtException', note)
    t.after(() => {
      process.off('unhandledRejection', note)
      process.off('uncaughtException', note)
    })
    const response = await failing.handleStream({ url: '/value/after-chunk' })
    await isAlive()
    await new Promise(resolve => setImmediate(resolve))
    assert.deepEqual(unhandled, [])
    assert.match(response.exception, /ValueError/)
  })
})

describe('an exception after the end', () => {
  for (const how of ['value', 'exit', 'interrupt', 'cancelled', 'recursion']) {
    for (const when of ['after-end', 'after-end-later']) {
      test(`${how} ${when}: the response is whole`, { timeout }, async () => {
        const request = { url: `/${how}/${when}` }
        assert.equal(String((await failing.handleRequest(request)).body), 'begun and ended')
        assert.equal(String(await collect(await failing.handleStream(request))), 'begun and ended')
        assert.equal(String(failing.handleRequestSync(request).body), 'begun and ended')
        await isAlive()
      })
    }
  }
})

describe('what ends a Python program ends neither Node nor the loop', () => {
  for (const [how, code, pythonType] of [
    ['exit', 'ERR_PYTHON_EXCEPTION', 'SystemExit'],
    ['exit-subclass', 'ERR_PYTHON_EXCEPTION', 'failing.NumberedExit'],
    ['interrupt', 'ERR_PYTHON_EXCEPTION', 'KeyboardInterrupt'],
    ['cancelled', 'ERR_PYTHON_CANCELLED', undefined]
  ]) {
    for (const when of ['at-once', 'later', 'after-start', 'after-start-later', 'after-chunk']) {
      test(`${how} ${when} is the error of its request alone`, { timeout }, async () => {
        const name = `${how}-${when}`
        const other = waiting.handleRequest({ url: `/${name}` })
        const isDone = watch(other)
        await noted(`waiting:${name}`)
        const request = { url: `/${how}/${when}` }
        for (const error of [
          await errorOf(failing.handleRequest(request)),
          await errorOf((async () => collect(await failing.handleStream(request)))()),
          errorOfSync(failing, request)
        ]) {
          assert.equal(error.code, code)
          assert.equal(error.pythonType, pythonType)
        }
        await isAlive()
        assert.equal(isDone(), false)
        await release(`waiting:${name}`)
        assert.equal(json(await other), name)
      })
    }
  }

  for (const path of ['callback', 'interrupt', 'task', 'thread', 'stop']) {
    test(`raised outside of a request: ${path}`, { timeout }, async () => {
      const handler = serve('failing:in_callback')
      const other = waiting.handleRequest({ url: `/outside-${path}` })
      await noted(`waiting:outside-${path}`)
      assert.equal(json(await handler.handleRequest({ url: `/${path}` })), 'alive')
      await isAlive()
      await release(`waiting:outside-${path}`)
      assert.equal(json(await other), `outside-${path}`)
    })
  }
})

describe('an application that returns too early', () => {
  const handler = serve('failing:incomplete')
  for (const [url, code] of [
    ['/nothing', 'ERR_PYTHON_NO_RESPONSE'],
    ['/start', 'ERR_PYTHON_INCOMPLETE_RESPONSE'],
    ['/start-later', 'ERR_PYTHON_INCOMPLETE_RESPONSE'],
    ['/chunk', 'ERR_PYTHON_INCOMPLETE_RESPONSE'],
    ['/chunk-later', 'ERR_PYTHON_INCOMPLETE_RESPONSE']
  ]) {
    test(`${url} fails with ${code}`, { timeout }, async () => {
      assert.equal((await errorOf(handler.handleRequest({ url }))).code, code)
      assert.equal((await errorOf((async () => collect(await handler.handleStream({ url })))())).code, code)
      assert.equal(errorOfSync(handler, { url }).code, code)
    })
  }
})

describe('what is no ASGI 3 application', () => {
  test('a function that returns what cannot be awaited', { timeout }, async () => {
    const error = await errorOf(serve('failing:synchronous').handleRequest({ url: '/' }))
    assert.equal(error.code, 'ERR_PYTHON_NOT_AWAITABLE')
    assert.match(error.message, /str/)
  })

  test('an ASGI 2 application that is called as ASGI 3', { timeout }, async () => {
    const error = await errorOf(serve('failing:double_callable', { interface: 'asgi3' }).handleRequest({ url: '/' }))
    assert.equal(error.code, 'ERR_PYTHON_EXCEPTION')
    assert.equal(error.pythonType, 'TypeError')
  })
})

describe('a wrong message is refused by send, in the application, which may go on', () => {
  const wrong = serve('sending:wrong')
  const uncaught = serve('sending:uncaught')
  for (const [name, pythonType, message] of [
    ['none', 'TypeError', /dict/],
    ['text', 'TypeError', /dict/],
    ['list', 'TypeError', /dict/],
    ['empty', 'ValueError', /type/],
    ['type-none', 'TypeError', /type/],
    ['type-bytes', 'TypeError', /type/],
    ['type-unknown', 'ValueError', /http\.response\.begin/],
    ['type-websocket', 'ValueError', /websocket\.accept/],
    ['type-request', 'ValueError', /http\.request/],
    ['status-missing', 'ValueError', /status/],
    ['status-none', 'ValueError', /status/],
    ['status-text', 'TypeError', /status.*int.*str/],
    ['status-float', 'TypeError', /status.*int.*float/],
    ['status-bool', 'TypeError', /status.*int.*bool/],
    ['status-0', 'ValueError', /status/],
    ['status-negative', 'ValueError', /status/],
    ['status-99', 'ValueError', /status/],
    ['status-100', 'ValueError', /status/],
    ['status-1000', 'ValueError', /status/],
    ['status-65736', 'ValueError', /status/],
    ['status-huge', 'ValueError', /status/],
    ['headers-number', 'TypeError', /headers/],
    ['headers-text', 'TypeError', /header/],
    ['headers-dict', 'TypeError', /header/],
    ['headers-flat', 'TypeError', /header/],
    ['header-text-name', 'TypeError', /name.*bytes.*str/],
    ['header-text-value', 'TypeError', /value.*bytes.*str/],
    ['header-number', 'TypeError', /value.*bytes.*int/],
    ['header-none', 'TypeError', /value.*bytes/],
    ['header-one', 'TypeError', /pair/],
    ['header-three', 'TypeError', /pair/],
    ['body-first', 'RuntimeError', /http\.response\.body.*http\.response\.start/],
    ['more-first', 'RuntimeError', /http\.response\.body.*http\.response\.start/]
  ]) {
    test(`${name} instead of the start`, { timeout }, async () => {
      for (const response of [await wrong.handleRequest({ url: `/${name}` }), await wrong.handleStream({ url: `/${name}` })]) {
        const [raised, text] = JSON.parse(await response.next())
        assert.equal(raised, pythonType)
        assert.match(text, message)
      }
      const error = await errorOf(uncaught.handleRequest({ url: `/${name}` }))
      assert.equal(error.code, 'ERR_PYTHON_EXCEPTION')
      assert.equal(error.pythonType, pythonType)
    })
  }

  const wrongBody = serve('sending:wrong_body')
  for (const [name, raised] of [
    ['body-text', /TypeError.*body.*bytes.*str/],
    ['body-number', /TypeError.*body.*bytes.*int/],
    ['body-list', /TypeError.*body.*bytes.*list/],
    ['body-dict', /TypeError.*body.*bytes.*dict/],
    ['start-again', /RuntimeError.*http\.response\.start.*http\.response\.body/],
    ['type-none', /TypeError/],
    ['none', /TypeError/]
  ]) {
    test(`${name} instead of the body`, { timeout }, async () => {
      assert.match(String((await wrongBody.handleRequest({ url: `/${name}` })).body), raised)
      assert.match(String(await collect(await wrongBody.handleStream({ url: `/${name}` }))), raised)
    })
  }

  test('what comes after the end is ignored', { timeout }, async () => {
    const handler = serve('sending:after_end')
    assert.equal(String((await handler.handleRequest({ url: '/' })).body), 'more body')
    assert.deepEqual(await noted('after-end'), [null, null, null])
    assert.equal(String(await collect(await handler.handleStream({ url: '/' }))), 'more body')
  })

  test('receive and send may be tasks, gathered, shielded and waited for', { timeout }, async () => {
    const handler = serve('sending:as_tasks')
    assert.equal(String((await handler.handleRequest({ url: '/' })).body), 'more more body')
    assert.deepEqual(await noted('as-tasks'), ['http.request', 'http.disconnect'])
    assert.equal(String(await collect(await handler.handleStream({ url: '/' }))), 'more more body')
  })
})

describe('responseTimeout', () => {
  const hanging = options => serve('cancelling:hang', options)

  test('rejects and cancels the application', { timeout }, async () => {
    const error = await errorOf(hanging({ responseTimeout: 20 }).handleRequest({ url: '/timeout' }))
    assert.equal(error.code, 'ERR_PYTHON_RESPONSE_TIMEOUT')
    assert.match(error.message, /20 ms/)
    assert.equal(await noted('ended:timeout'), 'CancelledError')
  })

  test('rejects and cancels a stream whose head does not come', { timeout }, async () => {
    const error = await errorOf(hanging({ responseTimeout: 20 }).handleStream({ url: '/timeout-stream' }))
    assert.equal(error.code, 'ERR_PYTHON_RESPONSE_TIMEOUT')
    assert.equal(await noted('ended:timeout-stream'), 'CancelledError')
  })

  test('throws from handleRequestSync and cancels', { timeout }, async () => {
    const error = errorOfSync(hanging({ responseTimeout: 20 }), { url: '/timeout-sync' })
    assert.equal(error.code, 'ERR_PYTHON_RESPONSE_TIMEOUT')
    assert.equal(await noted('ended:timeout-sync'), 'CancelledError')
  })

  test('rejects even if the application does not let itself be cancelled', { timeout }, async () => {
    const error = await errorOf(serve('cancelling:stubborn', { responseTimeout: 20 }).handleRequest({ url: '/stubborn' }))
    assert.equal(error.code, 'ERR_PYTHON_RESPONSE_TIMEOUT')
    await noted('refused:stubborn')
    await release('stubborn')
    assert.equal(await noted('ended:stubborn'), 'returned')
  })

  test('does not end a stream whose head came in time', { timeout }, async () => {
    const handler = serve('cancelling:head_then_wait', { responseTimeout: 50 })
    const response = await handler.handleStream({ url: '/in-time' })
    const late = await errorOf(hanging({ responseTimeout: 50 }).handleRequest({ url: '/after-in-time' }))
    assert.equal(late.code, 'ERR_PYTHON_RESPONSE_TIMEOUT')
    await release('head-then-wait:in-time')
    assert.equal(String(await collect(response)), 'late body')
  })

  for (const responseTimeout of [0, Infinity]) {
    test(`${responseTimeout} is none`, { timeout }, async () => {
      const name = `none-${responseTimeout}`
      const answer = serve('failing:waiting', { responseTimeout }).handleRequest({ url: `/${name}` })
      await errorOf(hanging({ responseTimeout: 20 }).handleRequest({ url: `/beside-${name}` }))
      await release(`waiting:${name}`)
      assert.equal(json(await answer), name)
    })
  }

  test('is each handler\'s own', { timeout }, async () => {
    const [short, long] = [hanging({ responseTimeout: 20 }), hanging({ responseTimeout: 120 })]
    const errors = await Promise.all([long, short, long].map((handler, index) => errorOf(handler.handleRequest({ url: `/own-${index}` }))))
    assert.deepEqual(errors.map(error => /\d+ ms/.exec(error.message)[0]), ['120 ms', '20 ms', '120 ms'])
  })
})

after(async () => {
  await assert.rejects(failing.handleRequest({ url: '/value/at-once' }), failure('ERR_PYTHON_EXCEPTION'))
})

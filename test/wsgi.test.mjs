// `interface: 'wsgi'`: what becomes of the threads of WSGI applications, fixtures/wsgi_app.py. Flask: frameworks/flask.test.mjs.

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { Request } from '../index.js'
import { failure, serve, timeout } from './fixtures.mjs'

/** Those of a2wsgi, and more than it has. */
const THREADS = 10
const MANY = 15

const handler = serve('wsgi_app:app', { interface: 'wsgi', disconnectGrace: 20 })
after(() => handler.close({ timeout: 1000 }))

async function seen (name, count) {
  return String((await handler.handleRequest({ url: `/seen/${name}/${count}` })).body)
}

const repeated = (count, text) => `[${Array(count).fill(text).join(', ')}]`

describe('a client that leaves', () => {
  // Scenario: the thread of each such request waited for ever, and after ten the application answered nobody.
  for (const [what, own] of [['interface', handler], ['a WSGIMiddleware of its own', serve('wsgi_app:mounting')]]) {
    test(`ends the iterator of a response: ${what}`, { timeout }, async () => {
      const name = `left by ${what}`.replaceAll(' ', '-')
      for (let client = 0; client < MANY; client++) {
        for await (const chunk of await own.handleStream({ url: `/flood/${name}` })) {
          assert.ok(chunk.length > 0)
          break
        }
      }
      assert.equal(await seen(name, MANY), repeated(MANY, "'closed'"))
    })
  }

  test('makes write raise', { timeout }, async () => {
    for (let client = 0; client < MANY; client++) {
      const response = await handler.handleStream({ url: '/write/written' })
      await response.next()
      response.stream().destroy()
    }
    assert.equal(await seen('written', MANY), repeated(MANY, "'ClientDisconnected'"))
  })

  test('makes wsgi.input raise: a part of a body is not the whole', { timeout }, async () => {
    const controller = new AbortController()
    const request = new Request({ method: 'POST', url: '/read/partly' })
    const answer = handler.handleStream(request, controller)
    await request.write('half')
    assert.equal(await seen('partly', 1), "['reads']")
    controller.abort()
    await assert.rejects(answer, { name: 'AbortError' })
    assert.equal(await seen('partly', 2), "['reads', 'ClientDisconnected']")
  })

  test('may be gone for long when the application answers', { timeout }, async () => {
    const controllers = Array.from({ length: 3 }, () => new AbortController())
    const answers = controllers.map(controller => handler.handleRequest({ url: '/wait/late' }, controller))
    assert.equal(await seen('late', 3), repeated(3, "'waits'"))
    for (const controller of controllers) controller.abort()
    for (const answer of answers) await assert.rejects(answer, { name: 'AbortError' })
    await handler.handleRequest({ url: '/go/late' })
    assert.equal((await seen('late', 6)).match(/went on/g).length, 3)
  })
})

test('a response that is too late leaves no thread behind', { timeout }, async () => {
  const own = serve('wsgi_app:app', { interface: 'wsgi', responseTimeout: 100 })
  await Promise.all(Array.from({ length: MANY }, () =>
    assert.rejects(own.handleRequest({ url: '/flood/timed-out' }), failure('ERR_PYTHON_RESPONSE_TIMEOUT'))))
  // Those that got one; the others were given up before a thread was free.
  assert.match(await seen('timed-out', THREADS), /closed/)
  assert.equal(String((await own.handleRequest({ url: '/path' })).body), "'/path'")
  await own.close()
})

test('a response that cannot be sent is an exception of the application, and leaves no thread behind', { timeout }, async () => {
  for (let request = 0; request < MANY; request++) {
    await assert.rejects(handler.handleRequest({ url: '/bad_header' }), failure('ERR_PYTHON_EXCEPTION', /ValueError/))
  }
  assert.equal(await seen('nothing', 0), '[]')
})

test('errors go to stderr, and there is one process', { timeout }, async () => {
  const { body } = await handler.handleRequest({ url: '/surroundings' })
  assert.equal(String(body), '[True, True, False, True, None]')
})

describe('start_response', () => {
  test('may be called again with exc_info, until a part is out', { timeout }, async () => {
    const { status, headers, body } = await handler.handleRequest({ url: '/replaced' })
    assert.deepEqual([status, headers.get('x-a'), headers.get('x-b'), String(body)], [500, null, 'second', 'sorry'])
  })

  test('raises the exception once a part is out', { timeout }, async () => {
    await assert.rejects(handler.handleRequest({ url: '/too_late' }), { code: 'ERR_PYTHON_EXCEPTION', pythonType: 'LookupError' })
  })
})

test('HTTP_COOKIE has the cookies of all fields', { timeout }, async () => {
  const { body } = await handler.handleRequest({ url: '/surroundings', headers: { cookie: ['a=1', 'b="x,y"', 'c=ä'] } })
  assert.equal(String(body), '[True, True, False, True, \'a=1; b="x,y"; c=ä\']')
})

test('PATH_INFO has the bytes of the path, also those that are no UTF-8', { timeout }, async () => {
  const { body } = await handler.handleRequest({ url: '/path/%ff%C3%A4' })
  assert.equal(String(body), "'/path/\\xff\\xc3\\xa4'")
})

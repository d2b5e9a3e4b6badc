// Response: made by hand, and as a handler gives it: status, headers and the whole body.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { Headers, Response } from '../index.js'
import { collect, failure, json, serveHttp as serve, timeout } from './fixtures.mjs'

const handler = serve('response_head:app')
const invalid = failure('ERR_PYTHON_INVALID_ARGUMENT')

/** The request that asks for this response. */
const asking = wanted => ({ method: 'POST', url: '/', body: JSON.stringify(wanted) })

describe('new Response', () => {
  test('has defaults', { timeout }, () => {
    for (const response of [new Response(), new Response({})]) {
      assert.equal(response.status, 200)
      assert.ok(response.headers instanceof Headers)
      assert.equal(response.headers.size, 0)
      assert.equal(response.exception, null)
    }
  })

  test('takes every field', { timeout }, () => {
    const response = new Response({ status: 404, headers: { 'X-A': ['1', '2'] }, body: 'ä', exception: 'Traceback' })
    assert.equal(response.status, 404)
    assert.deepEqual(response.headers.getAll('x-a'), ['1', '2'])
    assert.deepEqual(response.body, Buffer.from('ä'))
    assert.equal(response.exception, 'Traceback')
  })

  test('takes bytes of every kind as its body', { timeout }, () => {
    for (const body of [Buffer.from([1, 255]), new Uint8Array([1, 255]), new Uint8Array([0, 1, 255]).subarray(1)]) {
      assert.deepEqual(new Response({ body }).body, Buffer.from([1, 255]))
    }
  })

  for (const [field, value, code] of [
    ['status', '200'], ['status', 99], ['status', 1000], ['status', 200.5], ['status', NaN],
    ['body', 1], ['body', {}], ['headers', 'a: b', 'ERR_PYTHON_INVALID_HEADER']
  ]) {
    test(`refuses ${field} ${inspect(value)}`, { timeout }, () => {
      assert.throws(() => new Response({ [field]: value }), failure(code ?? invalid.code))
    })
  }

  test('fields may be set', { timeout }, () => {
    const response = new Response()
    response.status = 500
    response.headers = { a: '1' }
    assert.equal(response.status, 500)
    assert.equal(response.headers.get('a'), '1')
    assert.throws(() => { response.status = 20 }, invalid)
    assert.equal(response.status, 500)
  })

  test('toJSON has what there is', { timeout }, () => {
    const response = new Response({ status: 201, headers: [['a', '1'], ['a', '2']], body: 'b', exception: 'c' })
    assert.deepEqual(JSON.parse(JSON.stringify(response)), {
      status: 201, headers: { a: ['1', '2'] }, body: { type: 'Buffer', data: [98] }, exception: 'c'
    })
  })

  test('its body can be read as a stream', { timeout }, async () => {
    assert.equal(String(await collect(new Response({ body: 'abc' }))), 'abc')
    assert.equal(String(await collect(new Response({ body: 'abc' }).stream())), 'abc')
    assert.equal(String(await new Response({ body: 'abc' }).next()), 'abc')
    assert.equal(await new Response().next(), null)
    assert.equal((await collect(new Response().stream())).length, 0)
  })
})

describe('the status', () => {
  for (const status of [200, 201, 204, 205, 299, 301, 304, 404, 418, 500, 599, 600, 999]) {
    test(`${status} is passed on`, { timeout }, async () => {
      assert.equal((await handler.handleRequest(asking({ status }))).status, status)
      assert.equal((await handler.handleStream(asking({ status }))).status, status)
      assert.equal(handler.handleRequestSync(asking({ status })).status, status)
    })
  }
})

describe('the headers', () => {
  const headers = [['x-b', '1'], ['set-cookie', 'a=1, b'], ['x-a', ''], ['set-cookie', 'c=2'], ['x-b', '\t\u00e9\u00ff']]

  for (const shape of ['lists', 'tuples', 'a generator', 'bytearrays', 'memoryviews']) {
    test(`keep order, repeats and bytes as ${shape}`, { timeout }, async () => {
      const wanted = asking({ headers, as: shape })
      for (const response of [await handler.handleRequest(wanted), await handler.handleStream(wanted), handler.handleRequestSync(wanted)]) {
        assert.deepEqual(response.headers.entries(), headers)
        assert.deepEqual(response.headers.getSetCookie(), ['a=1, b', 'c=2'])
      }
    })
  }

  test('may be left out, or be none', { timeout }, async () => {
    assert.deepEqual((await handler.handleRequest(asking({}))).headers.entries(), [])
    assert.deepEqual((await handler.handleRequest(asking({ headers: [] }))).headers.entries(), [])
  })

  test('are lower-cased', { timeout }, async () => {
    const response = await handler.handleRequest(asking({ headers: [['X-Upper', '1']] }))
    assert.deepEqual(response.headers.entries(), [['x-upper', '1']])
  })

  test('may be many and long', { timeout }, async () => {
    const many = Array.from({ length: 1000 }, (_, index) => [`x-${index}`, 'v'.repeat(index)])
    assert.deepEqual((await handler.handleRequest(asking({ headers: many }))).headers.entries(), many)
  })

  test('may be changed, before and after they are read', { timeout }, async () => {
    const response = await handler.handleRequest(asking({ headers: [['a', '1'], ['b', '2']] }))
    response.headers.set('a', '3')
    response.headers.add('c', '4')
    response.headers.delete('b')
    assert.deepEqual(response.headers.entries(), [['a', '3'], ['c', '4']])
    const cleared = await handler.handleRequest(asking({ headers: [['a', '1']] }))
    cleared.headers.clear()
    assert.equal(cleared.headers.size, 0)
    const copied = new Headers((await handler.handleRequest(asking({ headers }))).headers)
    assert.deepEqual(copied.entries(), headers)
  })

  for (const [name, pair] of [
    ['a line break in a value', ['a', '1\r\nset-cookie: x']],
    ['a line feed in a value', ['a', '1\n2']],
    ['a carriage return in a value', ['a', '1\r2']],
    ['a NUL in a value', ['a', '1\0']],
    ['a line break in a name', ['a\r\nb', '1']],
    ['a colon in a name', ['a:b', '1']],
    ['a space in a name', ['a b', '1']],
    ['an empty name', ['', '1']],
    ['a name beyond ASCII', ['\u00e4', '1']],
    ['a pseudo header', [':status', '200']]
  ]) {
    test(`with ${name} are refused by send, and the application may answer otherwise`, { timeout }, async () => {
      const response = await handler.handleRequest(asking({ headers: [['x-before', '1'], pair] }))
      assert.equal(response.status, 500)
      assert.deepEqual(response.headers.entries(), [['content-type', 'application/json']])
      const [kind, message] = json(response)
      assert.equal(kind, 'ValueError')
      assert.ok(!message.includes('set-cookie'), message)
    })
  }
})

describe('a buffered response', () => {
  test('is complete', { timeout }, async () => {
    const response = await handler.handleRequest(asking({ status: 201, headers: [['a', '1']], body: '\u0000\u00ff' }))
    assert.ok(response instanceof Response)
    assert.equal(response.complete, true)
    assert.equal(response.exception, null)
    assert.ok(Buffer.isBuffer(response.body))
    assert.deepEqual(response.body, Buffer.from([0, 255]))
    assert.deepEqual(JSON.parse(JSON.stringify(response)), {
      status: 201, headers: { a: '1' }, body: { type: 'Buffer', data: [0, 255] }
    })
  })

  test('may have an empty body', { timeout }, async () => {
    const response = await handler.handleRequest(asking({}))
    assert.ok(Buffer.isBuffer(response.body))
    assert.equal(response.body.length, 0)
  })

  test('responses of one batch share no bytes', { timeout }, async () => {
    const wanted = ['aaaa', 'bbbb', 'cccc', 'dddd']
    const responses = await Promise.all(wanted.map(body => handler.handleRequest(asking({ body }))))
    responses[1].body.fill('x')
    assert.deepEqual(responses.map(response => String(response.body)), ['aaaa', 'xxxx', 'cccc', 'dddd'])
    // Giving one body's memory away may be refused, but may not take another's.
    try {
      structuredClone(responses[0].body.buffer, { transfer: [responses[0].body.buffer] })
    } catch (error) {
      assert.equal(error.name, 'DataCloneError')
    }
    assert.deepEqual(responses.slice(1).map(response => String(response.body)), ['xxxx', 'cccc', 'dddd'])
  })
})

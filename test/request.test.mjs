// Request: its fields, what they may be, and that what is set is what the application gets.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { Headers, Request } from '../index.js'
import { failure, json, serveHttp as serve, timeout } from './fixtures.mjs'

const invalid = failure('ERR_PYTHON_INVALID_ARGUMENT')
const echo = serve('scope_echo:app')
const reader = serve('request_body:app')

describe('new Request', () => {
  test('has defaults', { timeout }, () => {
    const request = new Request({ url: '/' })
    assert.equal(request.method, 'GET')
    assert.equal(request.url, '/')
    assert.equal(request.path, '/')
    assert.ok(request.headers instanceof Headers)
    assert.equal(request.headers.size, 0)
    assert.equal(request.docroot, null)
    assert.equal(request.body, null)
  })

  test('takes every field', { timeout }, () => {
    const request = new Request({ method: 'POST', url: 'http://a/b?c', headers: { D: 'e' }, body: 'f', docroot: '/srv' })
    assert.equal(request.method, 'POST')
    assert.equal(request.url, 'http://a/b?c')
    assert.equal(request.path, '/b')
    assert.equal(request.headers.get('d'), 'e')
    assert.deepEqual(request.body, Buffer.from('f'))
    assert.equal(request.docroot, '/srv')
  })

  test('takes null as nothing, wherever a field may be missing', { timeout }, () => {
    const request = new Request({ method: null, url: '/', headers: null, body: null, docroot: null, socket: null })
    assert.equal(request.method, 'GET')
    assert.equal(request.body, null)
  })

  for (const options of [undefined, null, 'http://a/', 1, {}, { method: 'GET' }, { url: null }]) {
    test(`refuses ${inspect(options)}`, { timeout }, () => {
      assert.throws(() => new Request(options), invalid)
    })
  }

  for (const body of [1, true, {}, [], () => {}, Symbol('a')]) {
    test(`refuses a body that is ${inspect(body)}`, { timeout }, async () => {
      assert.throws(() => new Request({ url: '/', method: 'POST', body }), invalid)
      await assert.rejects(reader.handleRequest({ url: '/digest', method: 'POST', body }), invalid)
      await assert.rejects(reader.handleStream({ url: '/digest', method: 'POST', body }), invalid)
      assert.throws(() => reader.handleRequestSync({ url: '/digest', method: 'POST', body }), invalid)
    })
  }

  test('its body is read by handleRequest, handleStream and handleRequestSync', { timeout }, async () => {
    const request = new Request({ method: 'POST', url: '/messages', body: 'ä' })
    const expected = [['\u00c3\u00a4', false]]
    assert.deepEqual(json(await reader.handleRequest(request)), expected)
    assert.deepEqual(JSON.parse(await (await reader.handleStream(request)).next()), expected)
    assert.deepEqual(json(reader.handleRequestSync(request)), expected)
  })
})

describe('url and path', () => {
  for (const [url, host, full, path] of [
    ['/a/b?c', undefined, '/a/b?c', '/a/b'],
    ['/a/b?c', 'example.com:8080', 'https://example.com:8080/a/b?c', '/a/b'],
    ['http://a/b', 'example.com', 'http://a/b', '/b'],
    ['http://a', undefined, 'http://a', '/'],
    ['http://a?b', undefined, 'http://a?b', '/'],
    ['/a#b?c', undefined, '/a#b?c', '/a'],
    ['*', 'example.com', '*', '*']
  ]) {
    test(`${url} with host ${host}`, { timeout }, () => {
      const request = new Request({ url, headers: { host } })
      assert.equal(request.url, full)
      assert.equal(request.path, path)
    })
  }

  test('the url takes its host from the Host header as it is now', { timeout }, () => {
    const request = new Request({ url: '/a' })
    request.headers.set('Host', 'one')
    assert.equal(request.url, 'https://one/a')
    request.headers = { host: 'two' }
    assert.equal(request.url, 'https://two/a')
    request.headers.delete('host')
    assert.equal(request.url, '/a')
  })
})

describe('fields that are set', () => {
  test('are what the application gets', { timeout }, async () => {
    const request = new Request({ url: '/a', headers: { a: '1' } })
    request.method = 'PUT'
    request.url = 'https://example.com/b?c'
    request.headers = [['X-B', '2'], ['x-b', '3']]
    request.headers.add('x-c', '4')
    request.docroot = '/srv'
    const scope = json(await echo.handleRequest(request))
    assert.deepEqual(scope.method, ['str', 'PUT'])
    assert.deepEqual(scope.path, ['str', '/b'])
    assert.deepEqual(scope.query_string, ['bytes', 'c'])
    assert.deepEqual(scope.scheme, ['str', 'https'])
    assert.deepEqual(scope.headers[1].map(([, [name, value]]) => [name[1], value[1]]), [
      ['host', 'example.com'], ['x-b', '2'], ['x-b', '3'], ['x-c', '4']
    ])
    assert.deepEqual(scope.extensions[1].python_node, ['dict', { docroot: ['str', '/srv'] }])
  })

  test('body is what the application reads', { timeout }, async () => {
    const request = new Request({ method: 'POST', url: '/messages', body: 'before' })
    request.body = new Uint8Array([1, 255])
    assert.deepEqual(request.body, Buffer.from([1, 255]))
    assert.deepEqual(json(await reader.handleRequest(request)), [['\u0001\u00ff', false]])
    request.body = null
    assert.deepEqual(json(await reader.handleRequest(request)), [['', false]])
  })

  test('a Headers instance stays the same', { timeout }, () => {
    const headers = new Headers({ a: '1' })
    const request = new Request({ url: '/' })
    request.headers = headers
    assert.equal(request.headers, headers)
  })

  for (const [field, value, code] of [
    ['method', '', 'ERR_PYTHON_INVALID_METHOD'],
    ['method', 'A B', 'ERR_PYTHON_INVALID_METHOD'],
    ['method', 'A\r\n', 'ERR_PYTHON_INVALID_METHOD'],
    ['method', undefined, 'ERR_PYTHON_INVALID_METHOD'],
    ['method', Symbol('a'), 'ERR_PYTHON_INVALID_METHOD'],
    ['url', 'a', 'ERR_PYTHON_INVALID_URL'],
    ['url', '/a\nb', 'ERR_PYTHON_INVALID_URL'],
    ['url', 5, 'ERR_PYTHON_INVALID_URL'],
    ['url', undefined, 'ERR_PYTHON_INVALID_ARGUMENT'],
    ['headers', 'a: b', 'ERR_PYTHON_INVALID_HEADER'],
    ['headers', { a: 'b\nc' }, 'ERR_PYTHON_INVALID_HEADER'],
    ['docroot', 5, 'ERR_PYTHON_INVALID_ARGUMENT'],
    ['body', 5, 'ERR_PYTHON_INVALID_ARGUMENT']
  ]) {
    test(`${field} refuses ${inspect(value)} and stays as it was`, { timeout }, () => {
      const request = new Request({ method: 'POST', url: '/a', headers: { a: '1' }, body: 'b', docroot: '/srv' })
      assert.throws(() => { request[field] = value }, failure(code))
      assert.equal(request.method, 'POST')
      assert.equal(request.url, '/a')
      assert.equal(request.headers.get('a'), '1')
      assert.equal(request.docroot, '/srv')
      assert.deepEqual(request.body, Buffer.from('b'))
    })
  }
})

describe('toJSON', () => {
  test('has method, url, headers and a complete body', { timeout }, () => {
    const request = new Request({ method: 'POST', url: '/a', headers: [['a', '1'], ['a', '2']], body: 'b' })
    assert.deepEqual(JSON.parse(JSON.stringify(request)), {
      method: 'POST', url: '/a', headers: { a: ['1', '2'] }, body: { type: 'Buffer', data: [98] }
    })
    assert.deepEqual(new Request({ url: '/a' }).toJSON(), { method: 'GET', url: '/a', headers: {} })
  })
})

describe('write and end', () => {
  const messages = async request => json(await reader.handleRequest(request))
  const post = (path = '/messages', headers) => new Request({ method: 'POST', url: path, headers })

  test('what is written before the request is handled is its body', { timeout }, async () => {
    const request = post()
    await request.write('a')
    await request.write(Buffer.from('b'))
    await request.write(new Uint8Array([255]))
    await request.end()
    assert.deepEqual((await messages(request)).map(([body]) => body).join(''), 'ab\u00ff')
  })

  test('what is written is copied: the buffer may be used again', { timeout }, async () => {
    const request = post()
    const buffer = Buffer.from('one')
    await request.write(buffer)
    buffer.fill('x')
    await request.end()
    assert.equal((await messages(request))[0][0], 'one')
  })

  test('an end without a write is an empty body', { timeout }, async () => {
    const request = post()
    await request.end()
    assert.deepEqual(await messages(request), [['', false]])
  })

  test('an empty chunk is no end', { timeout }, async () => {
    const request = post()
    const answer = reader.handleRequest(request)
    await assert.doesNotReject(answer)
    const streamed = post('/digest')
    const response = reader.handleStream(streamed)
    await streamed.write('a')
    await streamed.write('')
    await streamed.write(new Uint8Array())
    await streamed.write('b')
    await streamed.end()
    assert.equal(JSON.parse(await (await response).next()).length, 2)
  })

  test('a request that is handled to its whole response before anything is written has an empty body', { timeout }, async () => {
    const request = post()
    assert.deepEqual(await messages(request), [['', false]])
    await assert.rejects(request.write('late'), failure('ERR_PYTHON_BODY'))
  })

  test('write is refused beside a body, after the end, and of what is no chunk', { timeout }, async () => {
    await assert.rejects(new Request({ url: '/', body: 'a' }).write('b'), failure('ERR_PYTHON_BODY'))
    const request = post()
    for (const chunk of [undefined, null, 1, {}, []]) await assert.rejects(request.write(chunk), invalid)
    await request.end()
    await assert.rejects(request.write('a'), failure('ERR_PYTHON_BODY'))
  })

  test('end may be called again', { timeout }, async () => {
    const request = post()
    await request.write('a')
    await request.end()
    await request.end()
    assert.equal((await messages(request))[0][0], 'a')
    await request.end()
  })

  for (const method of ['POST', 'PUT', 'PATCH', 'REPORT']) {
    test(`a ${method} that is handled as a stream may be written to`, { timeout }, async () => {
      const request = new Request({ method, url: '/messages' })
      const response = reader.handleStream(request)
      await request.write('a')
      await request.end()
      assert.equal(JSON.parse(await (await response).next()).map(([body]) => body).join(''), 'a')
    })
  }

  for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS']) {
    test(`a ${method} that is handled as a stream has no body unless one is announced`, { timeout }, async () => {
      const response = await reader.handleStream(new Request({ method, url: '/digest' }))
      const body = await response.next()
      if (method !== 'HEAD') assert.equal(JSON.parse(body).length, 0)
    })
  }

  for (const [method, headers] of [['DELETE', { 'content-length': '1' }], ['GET', { 'transfer-encoding': 'chunked' }]]) {
    test(`a ${method} whose body is announced by ${Object.keys(headers)} may be written to`, { timeout }, async () => {
      const request = new Request({ method, url: '/digest', headers })
      const response = reader.handleStream(request)
      await request.write('a')
      await request.end()
      assert.equal(JSON.parse(await (await response).next()).length, 1)
    })
  }

  test('a request that was written and ended is whole each time it is handled, or is refused', { timeout }, async () => {
    for (const handle of ['handleRequest', 'handleStream']) {
      const request = post('/digest')
      await request.write('abc')
      await request.end()
      assert.equal(json(await reader.handleRequest(request)).length, 3)
      let again
      try {
        again = await reader[handle](request, AbortSignal.timeout(10_000))
      } catch (error) {
        assert.equal(error.code, 'ERR_PYTHON_BODY')
        continue
      }
      assert.equal(JSON.parse(await again.next()).length, 3)
    }
  })

  test('writes after the response is complete go nowhere, and do not wait', { timeout }, async () => {
    const request = post('/first')
    const response = reader.handleStream(request)
    await request.write('abc')
    assert.equal(String(await (await response).next()), '3')
    await request.write(Buffer.alloc(1024 * 1024))
    await request.write(Buffer.alloc(1024 * 1024))
    await request.end()
  })
})

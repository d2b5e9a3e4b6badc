// Every key of the ASGI connection scope of HTTP, as the application in fixtures/scope_echo.py sees it:
// asgiref, specs/www.rst, "HTTP Connection Scope".

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { Headers, Request } from '../index.js'
import { docroot, failure, json, serveHttp as serve, timeout } from './fixtures.mjs'

const handler = serve('scope_echo:app')

/** The scope of a request: `[type, value]` for each key. */
async function typed (request, own = handler) {
  return json(await own.handleRequest(request))
}

function plain ([kind, value]) {
  if (kind === 'dict') return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
  if (kind === 'list' || kind === 'tuple') return value.map(plain)
  return value
}

/** The scope of a request, bytes as latin-1 text. */
async function scopeOf (request, own) {
  return plain(['dict', await typed(request, own)])
}

const headersOf = async headers => (await scopeOf({ url: '/', headers })).headers

describe('the scope', () => {
  test('has these keys and types', { timeout }, async () => {
    const scope = await typed({
      url: 'https://example.com/a%20b?c=%20d',
      headers: { accept: 'text/plain' },
      socket: { remoteAddress: '10.0.0.1', remotePort: 50000, localAddress: '10.0.0.2', localPort: 443 }
    })
    assert.deepEqual(scope, {
      type: ['str', 'http'],
      asgi: ['dict', { version: ['str', '3.0'], spec_version: ['str', '2.5'] }],
      http_version: ['str', '1.1'],
      method: ['str', 'GET'],
      scheme: ['str', 'https'],
      path: ['str', '/a b'],
      raw_path: ['bytes', '/a%20b'],
      query_string: ['bytes', 'c=%20d'],
      root_path: ['str', ''],
      headers: ['list', [
        ['tuple', [['bytes', 'host'], ['bytes', 'example.com']]],
        ['tuple', [['bytes', 'accept'], ['bytes', 'text/plain']]]
      ]],
      client: ['tuple', [['str', '10.0.0.1'], ['int', 50000]]],
      server: ['tuple', [['str', '10.0.0.2'], ['int', 443]]],
      state: ['dict', {}],
      extensions: scope.extensions
    })
    assert.deepEqual(scope.extensions[1].python_node, ['dict', { docroot: ['str', docroot] }])
    for (const [kind] of Object.values(scope.extensions[1])) assert.equal(kind, 'dict')
  })

  test('is fresh for each request: what an application changes, the next does not see', { timeout }, async () => {
    const first = await typed({ url: '/' })
    assert.deepEqual(await typed({ url: '/' }), first)
  })

  test('is the same for a plain object and a Request', { timeout }, async () => {
    const fields = {
      method: 'PUT',
      url: 'http://user@example.com:8080/a?b#c',
      headers: [['X-A', '1'], ['x-b', '2'], ['X-A', '3']],
      socket: { remoteAddress: '::1', remotePort: 1, localAddress: '::1', localPort: 2 },
      docroot: '/srv/dokumente/ä',
      httpVersion: '1.0'
    }
    assert.deepEqual(await typed(new Request(fields)), await typed(fields))
  })

  test('is the same for handleStream and handleRequestSync', { timeout }, async () => {
    const request = { url: '/a?b', headers: { c: 'd' } }
    const expected = await typed(request)
    const streamed = await handler.handleStream(request)
    const chunks = []
    for await (const chunk of streamed) chunks.push(chunk)
    // What can be honoured differs: a stream may have trailers and files.
    for (const seen of [JSON.parse(Buffer.concat(chunks)), json(handler.handleRequestSync(request))]) {
      assert.deepEqual({ ...seen, extensions: expected.extensions }, expected)
    }
  })
})

describe('method', () => {
  for (const [method, expected] of [
    ['GET', 'GET'], ['get', 'GET'], ['POST', 'POST'], ['PUT', 'PUT'], ['PATCH', 'PATCH'], ['DELETE', 'DELETE'],
    ['OPTIONS', 'OPTIONS'], ['TRACE', 'TRACE'], ['CONNECT', 'CONNECT'], ['PROPFIND', 'PROPFIND'], ['m-search', 'M-SEARCH'],
    ['X!#$%&\'*+-.^_`|~1', 'X!#$%&\'*+-.^_`|~1']
  ]) {
    test(`${method} is ${expected}`, { timeout }, async () => {
      assert.equal((await scopeOf({ url: '/', method })).method, expected)
    })
  }
})

describe('path, raw_path and query_string', () => {
  for (const [url, path, raw, query] of [
    ['/', '/', '/', ''],
    ['/a/b', '/a/b', '/a/b', ''],
    ['/a?', '/a', '/a', ''],
    ['/a?b=c&d', '/a', '/a', 'b=c&d'],
    ['/a?b?c', '/a', '/a', 'b?c'],
    ['/a?b=%20%C3%A4+x', '/a', '/a', 'b=%20%C3%A4+x'],
    ['/%20', '/ ', '/%20', ''],
    ['/a+b', '/a+b', '/a+b', ''],
    ['/%C3%A4', '/ä', '/%C3%A4', ''],
    ['/%E2%98%83', '/☃', '/%E2%98%83', ''],
    ['/%F0%9F%90%8D', '/🐍', '/%F0%9F%90%8D', ''],
    ['/a%2Fb', '/a/b', '/a%2Fb', ''],
    ['/a%2fb', '/a/b', '/a%2fb', ''],
    ['/a%3Fb', '/a?b', '/a%3Fb', ''],
    ['/a%23b', '/a#b', '/a%23b', ''],
    ['/a%252Fb', '/a%2Fb', '/a%252Fb', ''],
    ['/a%', '/a%', '/a%', ''],
    ['/a%zz%4', '/a%zz%4', '/a%zz%4', ''],
    ['/%FF', '/\ufffd', '/%FF', ''],
    ['/a//b/../c/./', '/a//b/../c/./', '/a//b/../c/./', ''],
    ['//a/b', '//a/b', '//a/b', ''],
    ['/a#b', '/a', '/a', ''],
    ['/a?b#c?d', '/a', '/a', 'b'],
    ['/[a]{b}|^"<>\\`', '/[a]{b}|^"<>\\`', '/[a]{b}|^"<>\\`', ''],
    ['/ä ☃?ü=ö ', '/ä ☃', '/%C3%A4%20%E2%98%83', '%C3%BC=%C3%B6%20'],
    ['/\ud800', '/\ufffd', '/%EF%BF%BD', ''],
    ['http://example.com', '/', '/', ''],
    ['http://example.com?a', '/', '/', 'a'],
    ['http://example.com#a', '/', '/', ''],
    ['HTTP://example.com/a%20b?c', '/a b', '/a%20b', 'c'],
    ['http://example.com/a/../b', '/a/../b', '/a/../b', ''],
    [new URL('http://example.com/ä?b=c d#e'), '/ä', '/%C3%A4', 'b=c%20d'],
    ['*', '*', '*', ''],
    [`/${'long/'.repeat(2000)}`, `/${'long/'.repeat(2000)}`, `/${'long/'.repeat(2000)}`, '']
  ]) {
    test(String(url).slice(0, 60), { timeout }, async () => {
      const scope = await scopeOf({ url })
      assert.deepEqual([scope.path, scope.raw_path, scope.query_string], [path, raw, query])
    })
  }
})

describe('root_path', () => {
  const mounted = serve('scope_echo:app', { rootPath: '/api/v1' })

  for (const [url, path, raw] of [
    ['/items', '/api/v1/items', '/api/v1/items'],
    ['/', '/api/v1/', '/api/v1/'],
    ['/api/v1/items', '/api/v1/items', '/api/v1/items'],
    ['/api/v10', '/api/v1/api/v10', '/api/v1/api/v10'],
    ['/%C3%A4', '/api/v1/ä', '/api/v1/%C3%A4']
  ]) {
    test(`is in front of ${url}`, { timeout }, async () => {
      const scope = await scopeOf({ url }, mounted)
      assert.deepEqual([scope.root_path, scope.path, scope.raw_path], ['/api/v1', path, raw])
    })
  }

  for (const [rootPath, expected] of [['', ''], ['/', ''], ['/a/', '/a'], ['/ä b', '/ä b']]) {
    test(`of the option ${JSON.stringify(rootPath)} is ${JSON.stringify(expected)}`, { timeout }, async () => {
      const scope = await scopeOf({ url: '/x' }, serve('scope_echo:app', { rootPath }))
      assert.deepEqual([scope.root_path, scope.path], [expected, `${expected}/x`])
    })
  }

  test('is never a folder', { timeout }, async () => {
    const scope = await scopeOf({ url: '/', docroot: '/srv' })
    assert.equal(scope.root_path, '')
  })
})

describe('headers', () => {
  test('are lower-case names and the bytes of the values, in order, repeats kept', { timeout }, async () => {
    assert.deepEqual(await headersOf([['X-B', '1'], ['x-a', '2'], ['X-b', '3'], ['Cookie', 'a=1'], ['cookie', 'b=2']]), [
      ['x-b', '1'], ['x-a', '2'], ['x-b', '3'], ['cookie', 'a=1'], ['cookie', 'b=2']
    ])
  })

  for (const [name, headers, expected] of [
    ['none', undefined, []],
    ['null', null, []],
    ['an object', { 'X-A': '1', b: ['2', '3'], c: 4, d: undefined }, [['x-a', '1'], ['b', '2'], ['b', '3'], ['c', '4']]],
    ['Headers', new Headers({ a: '1' }), [['a', '1']]],
    ['a Map', new Map([['A', '1']]), [['a', '1']]],
    ['every byte a value may have', { a: '\t !~\u0080\u00e9\u00ff' }, [['a', '\t !~\u0080\u00e9\u00ff']]],
    ['empty values', { a: '', b: [''] }, [['a', ''], ['b', '']]],
    ['integer-like names', { 10: 'a', 2: 'b' }, [['2', 'b'], ['10', 'a']]]
  ]) {
    test(`of ${name}`, { timeout }, async () => {
      assert.deepEqual(await headersOf(headers), expected)
      assert.deepEqual((await scopeOf(new Request({ url: '/', headers }))).headers, expected)
    })
  }

  test('as many and as long as the handler admits', { timeout }, async () => {
    const own = serve('scope_echo:app', { maxHeaders: 2000, maxHeaderSize: 200_000 })
    const many = Array.from({ length: 2000 }, (_, index) => [`x-${index}`, String(index).repeat(10)])
    assert.deepEqual((await scopeOf({ url: '/', headers: many }, own)).headers, many)
    for (const length of [2020, 2030, 2040, 2047, 2048, 2049, 100_000]) {
      const value = 'v'.repeat(length)
      assert.deepEqual((await scopeOf({ url: '/', headers: { a: value } }, own)).headers, [['a', value]])
    }
  })

  test('begin with the host of an absolute url, unless there is one', { timeout }, async () => {
    const of = async (url, headers) => (await scopeOf({ url, headers })).headers
    assert.deepEqual(await of('http://example.com:8080/', { a: '1' }), [['host', 'example.com:8080'], ['a', '1']])
    assert.deepEqual(await of('http://user:secret@example.com/', {}), [['host', 'example.com']])
    assert.deepEqual(await of('http://example.com/', { a: '1', Host: 'own' }), [['a', '1'], ['host', 'own']])
    assert.deepEqual(await of('/', { a: '1' }), [['a', '1']])
  })
})

describe('scheme, http_version, client and server', () => {
  for (const [fields, scheme] of [
    [{ url: '/' }, 'http'],
    [{ url: 'http://a/' }, 'http'],
    [{ url: 'HTTPS://a/' }, 'https'],
    [{ url: '/', socket: { encrypted: true } }, 'https'],
    [{ url: '/', socket: { encrypted: false } }, 'http'],
    [{ url: '/', scheme: 'https' }, 'https'],
    [{ url: 'http://a/', scheme: 'https' }, 'https']
  ]) {
    test(`scheme of ${inspect(fields)}`, { timeout }, async () => {
      assert.equal((await scopeOf(fields)).scheme, scheme)
    })
  }

  for (const [httpVersion, expected] of [[undefined, '1.1'], ['1.0', '1.0'], ['1.1', '1.1'], ['2', '2'], ['2.0', '2']]) {
    test(`http_version of ${httpVersion}`, { timeout }, async () => {
      assert.equal((await scopeOf({ url: '/', httpVersion })).http_version, expected)
    })
  }

  for (const [socket, client, server] of [
    [undefined, null, null],
    [null, null, null],
    [{}, null, null],
    [{ remoteAddress: '127.0.0.1', remotePort: 1 }, ['127.0.0.1', 1], null],
    [{ localAddress: '127.0.0.1', localPort: 65535 }, null, ['127.0.0.1', 65535]],
    [{ remoteAddress: '2001:db8::1', remotePort: 40000, remoteFamily: 'IPv6' }, ['2001:db8::1', 40000], null],
    [{ localAddress: '/run/app.sock' }, null, ['/run/app.sock', null]],
    [{ remoteAddress: undefined, remotePort: undefined }, null, null]
  ]) {
    test(`client and server of ${inspect(socket)}`, { timeout }, async () => {
      const scope = await scopeOf({ url: '/', socket })
      assert.deepEqual([scope.client, scope.server], [client, server])
      const frozen = await scopeOf({ url: '/', socket: socket && Object.freeze({ ...socket }) })
      assert.deepEqual([frozen.client, frozen.server], [client, server])
    })
  }

  for (const [url, server] of [
    ['http://example.com/', ['example.com', 80]],
    ['https://example.com/', ['example.com', 443]],
    ['http://example.com:8080/', ['example.com', 8080]],
    ['https://[2001:db8::1]:8443/', ['2001:db8::1', 8443]],
    ['http://[::1]/', ['::1', 80]]
  ]) {
    test(`server of ${url} without a socket`, { timeout }, async () => {
      const scope = await scopeOf({ url })
      assert.deepEqual([scope.client, scope.server], [null, server])
    })
  }

  test('a socket that changes is read each time', { timeout }, async () => {
    const socket = { remoteAddress: '10.0.0.1', remotePort: 1 }
    assert.deepEqual((await scopeOf({ url: '/', socket })).client, ['10.0.0.1', 1])
    socket.remotePort = 2
    assert.deepEqual((await scopeOf({ url: '/', socket })).client, ['10.0.0.1', 2])
  })
})

describe('state and extensions', () => {
  test('hold what the request brings', { timeout }, async () => {
    const scope = await scopeOf({ url: '/', state: { user: 'ä☃', roles: [1, null, 'x'] }, extensions: { own: { a: 1 } } })
    assert.deepEqual(scope.state, { user: 'ä☃', roles: [1, null, 'x'] })
    assert.deepEqual(scope.extensions.own, { a: 1 })
    assert.deepEqual((await scopeOf({ url: '/' })).state, {})
  })

  test('offer the document root of the handler, or of the request', { timeout }, async () => {
    assert.equal((await scopeOf({ url: '/' })).extensions.python_node.docroot, docroot)
    assert.equal((await scopeOf({ url: '/', docroot: '/srv/☃ ä' })).extensions.python_node.docroot, '/srv/☃ ä')
    assert.equal((await scopeOf(new Request({ url: '/', docroot: '/srv' }))).extensions.python_node.docroot, '/srv')
  })

  for (const [name, value] of [['state', 1], ['state', 'text'], ['state', []], ['extensions', true], ['rootPath', 5],
    ['rootPath', 'api'], ['state', new Map([['a', 1]])], ['state', { a: new Set([1]) }], ['extensions', { a: [new Map()] }]]) {
    test(`${name} that is ${inspect(value)} is the caller's error`, { timeout }, async () => {
      await assert.rejects(handler.handleRequest({ url: '/', [name]: value }), failure('ERR_PYTHON_INVALID_ARGUMENT'))
      assert.throws(() => handler.handleRequestSync({ url: '/', [name]: value }), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    })
  }

  test('state that is no JSON is the caller\'s error', { timeout }, async () => {
    const circular = {}
    circular.self = circular
    for (const state of [circular, { big: 1n }]) {
      await assert.rejects(handler.handleRequest({ url: '/', state }), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    }
  })
})

describe('what cannot be a head is refused before the application is called', () => {
  for (const [name, fields, code] of [
    ['no url', {}, 'ERR_PYTHON_INVALID_ARGUMENT'],
    ['an empty url', { url: '' }, 'ERR_PYTHON_INVALID_URL'],
    ['a url that is a number', { url: 1 }, 'ERR_PYTHON_INVALID_URL'],
    ['a relative url', { url: 'a/b' }, 'ERR_PYTHON_INVALID_URL'],
    ['another scheme', { url: 'ftp://a/' }, 'ERR_PYTHON_INVALID_URL'],
    ['a url without a host', { url: 'http:///a' }, 'ERR_PYTHON_INVALID_URL'],
    ['a port that is none', { url: 'http://a:b/' }, 'ERR_PYTHON_INVALID_URL'],
    ['a port out of range', { url: 'http://a:65536/' }, 'ERR_PYTHON_INVALID_URL'],
    ['a host with a space', { url: 'http://a b/' }, 'ERR_PYTHON_INVALID_URL'],
    ['a line break in the url', { url: '/a\r\nX-Injected: 1' }, 'ERR_PYTHON_INVALID_URL'],
    ['a line feed in the url', { url: '/a\nb' }, 'ERR_PYTHON_INVALID_URL'],
    ['a NUL in the url', { url: '/a\0b' }, 'ERR_PYTHON_INVALID_URL'],
    ['a line break in the host', { url: 'http://a\r\nb/' }, 'ERR_PYTHON_INVALID_URL'],
    ['an empty method', { url: '/', method: '' }, 'ERR_PYTHON_INVALID_METHOD'],
    ['a method with a space', { url: '/', method: 'GET /' }, 'ERR_PYTHON_INVALID_METHOD'],
    ['a method with a line break', { url: '/', method: 'GET\n' }, 'ERR_PYTHON_INVALID_METHOD'],
    ['a method that is no string', { url: '/', method: 1 }, 'ERR_PYTHON_INVALID_METHOD'],
    ['a method beyond ASCII', { url: '/', method: 'GÉT' }, 'ERR_PYTHON_INVALID_METHOD'],
    ['a header name with a line break', { url: '/', headers: { 'a\nb': '1' } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['an empty header name', { url: '/', headers: { '': '1' } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['a header name with a space', { url: '/', headers: { 'a b': '1' } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['a header value with CR LF', { url: '/', headers: { a: '1\r\nb: 2' } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['a header value with LF', { url: '/', headers: { a: '1\nb' } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['a header value with two LF', { url: '/', headers: { a: '1\nb\n2' } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['a header value with CR', { url: '/', headers: { a: '1\rb' } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['a header value with NUL', { url: '/', headers: { a: '1\0b' } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['a header value beyond latin-1', { url: '/', headers: { a: '☃' } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['a header value that is null', { url: '/', headers: { a: null } }, 'ERR_PYTHON_INVALID_HEADER'],
    ['headers that are text', { url: '/', headers: 'a: 1' }, 'ERR_PYTHON_INVALID_HEADER'],
    ['a scheme with a line break', { url: '/', scheme: 'http\nx' }, 'ERR_PYTHON_INVALID_ARGUMENT'],
    ['an address with a line break', { url: '/', socket: { remoteAddress: '1\n2' } }, 'ERR_PYTHON_INVALID_ARGUMENT'],
    ['a socket that is text', { url: '/', socket: 'a' }, 'ERR_PYTHON_INVALID_ARGUMENT'],
    ['an address that is a symbol', { url: '/', socket: { remoteAddress: Symbol('a') } }, 'ERR_PYTHON_INVALID_ARGUMENT'],
    ['an address that is an object', { url: '/', socket: { localAddress: { toString () { throw new Error('no') } } } }, 'ERR_PYTHON_INVALID_ARGUMENT'],
    ...[Symbol('a'), '80', -1, 65536, 1.5, NaN].flatMap(port => [
      [`a client's port that is ${inspect(port)}`, { url: '/', socket: { remoteAddress: '1', remotePort: port } }, 'ERR_PYTHON_INVALID_ARGUMENT'],
      [`a server's port that is ${inspect(port)}`, { url: '/', socket: { localAddress: '1', localPort: port } }, 'ERR_PYTHON_INVALID_ARGUMENT']
    ]),
    ['a document root that is a number', { url: '/', docroot: 1 }, 'ERR_PYTHON_INVALID_ARGUMENT']
  ]) {
    test(name, { timeout }, async () => {
      await assert.rejects(handler.handleRequest(fields), failure(code))
      await assert.rejects(handler.handleStream(fields), failure(code))
      assert.throws(() => handler.handleRequestSync(fields), failure(code))
      await assert.rejects(async () => handler.handleRequest(new Request(fields)), failure(code))
    })
  }

  for (const request of [undefined, null, 'http://a/', 1]) {
    test(`a request that is ${inspect(request)}`, { timeout }, async () => {
      await assert.rejects(handler.handleRequest(request), failure('ERR_PYTHON_INVALID_ARGUMENT'))
      await assert.rejects(handler.handleStream(request), failure('ERR_PYTHON_INVALID_ARGUMENT'))
      assert.throws(() => handler.handleRequestSync(request), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    })
  }

  test('never shows a header\'s value', { timeout }, async () => {
    await assert.rejects(handler.handleRequest({ url: '/', headers: { authorization: 'secret\r\n' } }), error => {
      assert.equal(error.code, 'ERR_PYTHON_INVALID_HEADER')
      assert.ok(!error.message.includes('secret'))
      return true
    })
  })
})

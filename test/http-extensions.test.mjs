// The extensions of asgiref's docs/extensions.rst and specs/tls.rst through createRequestListener, over real connections:
// trailers, early hints, pushes, files, TLS. What the application does is in the steps of fixtures/script.py.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { attachWebSocket, createRequestListener } from '../http.js'
import interpreter from '../lib/interpreter.js'
import { collect, docroot, noted, serve, timeout } from './fixtures.mjs'
import { accept, body, bytes, close, pairs, part, script, start, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0 })
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'python-node-'))
const file = path.join(folder, 'dätei.bin')
const content = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251))
fs.writeFileSync(file, content)

const { executable } = interpreter.findInterpreter({ docroot })
const certificates = JSON.parse(execFileSync(executable, [fileURLToPath(new URL('fixtures/certificates.py', import.meta.url))]))

after(async () => {
  await handler.close({ timeout: 1000 })
  fs.rmSync(folder, { recursive: true })
})

/** A server on a free port that is gone, with its connections, when the test ends. */
async function listen (t, make = listener => http.createServer(listener), options = {}) {
  const errors = []
  const server = make(createRequestListener(handler, { onError (error) { errors.push(error) }, ...options }))
  const sockets = new Set()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.on('sessionError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { server, port: server.address().port, errors }
}

const secure = options => listener => http2.createSecureServer({ ...certificates.server, allowHTTP1: true, ...options }, listener)
const overTls = options => listener => https.createServer({ ...certificates.server, ...options }, listener)

/** One request of HTTP/1.1; `hints`: the 103s before its response. */
async function request (port, steps, { module = http, ...options } = {}) {
  const hints = []
  const req = module.request({ host: '127.0.0.1', port, path: script(...steps), agent: false, rejectUnauthorized: false, ...options })
  req.on('information', ({ statusCode, headers }) => hints.push([statusCode, headers.link]))
  req.end()
  const [res] = await once(req, 'response')
  const text = await collect(res)
  return { status: res.statusCode, headers: res.headers, body: text, rawTrailers: res.rawTrailers, hints }
}

/** A client's session, over TLS or not. */
async function session (t, port, { protocol = 'http', ...options } = {}) {
  const client = http2.connect(`${protocol}://127.0.0.1:${port}`, { rejectUnauthorized: false, ...options })
  client.on('error', () => {})
  t.after(() => client.destroy())
  await once(client, 'connect')
  return client
}

/** One request of HTTP/2. */
async function stream (client, steps, headers) {
  const req = client.request({ ':path': script(...steps), ...headers })
  const hints = []
  let trailers
  req.on('headers', fields => hints.push([fields[':status'], fields.link]))
  req.on('trailers', fields => { trailers = Object.fromEntries(Object.entries(fields)) })
  const [fields] = await once(req, 'response')
  const text = await collect(req)
  return { status: fields[':status'], headers: fields, body: text, trailers, hints }
}

const plainHttp2 = listener => http2.createServer(listener)

/** The extensions that a request of `ask` is announced. */
async function announced (ask) {
  const name = unique('scope')
  await ask([['scope_as', name], start(), body()])
  const { extensions } = await noted(name)
  return Object.keys(extensions).filter(each => each.startsWith('http.')).map(each => each.slice('http.response.'.length)).sort()
}

const always = ['pathsend', 'zerocopysend']

describe('what is announced', () => {
  for (const [what, headers, expected] of [
    ['HTTP/1.1', {}, ['early_hint', ...always]],
    ['HTTP/1.1 with TE: trailers', { te: 'deflate;q=0.5, Trailers' }, ['early_hint', 'pathsend', 'trailers', 'zerocopysend']]
  ]) {
    test(`to ${what}`, { timeout }, async t => {
      const { port } = await listen(t)
      assert.deepEqual(await announced(steps => request(port, steps, { headers })), expected)
    })
  }

  test('is no pathsend with pathSend: false', { timeout }, async t => {
    const { port } = await listen(t, undefined, { pathSend: false })
    assert.deepEqual(await announced(steps => request(port, steps)), ['early_hint', 'zerocopysend'])
    const refused = unique('refused')
    const message = { type: 'http.response.pathsend', path: file }
    const { body: text } = await request(port, [start(), ['attempt', refused, message], body('all')])
    assert.equal(String(text), 'all')
    assert.notDeepEqual(await noted(refused), [])
  })

  test('to HTTP/1.0 is neither hint nor trailer', { timeout }, async t => {
    const { port } = await listen(t)
    const seen = await announced(async steps => {
      const socket = net.connect(port, '127.0.0.1')
      socket.write(`GET ${script(...steps)} HTTP/1.0\r\nTE: trailers\r\n\r\n`)
      assert.match(String(await collect(socket)), /^HTTP\/1.1 200/)
    })
    assert.deepEqual(seen, always)
  })

  for (const [what, options, headers, expected] of [
    ['HTTP/2', {}, {}, ['early_hint', 'pathsend', 'push', 'zerocopysend']],
    ['HTTP/2 with te: trailers', {}, { te: 'trailers' }, ['early_hint', 'pathsend', 'push', 'trailers', 'zerocopysend']],
    ['HTTP/2 of a client that takes no pushes', { settings: { enablePush: false } }, {}, ['early_hint', ...always]]
  ]) {
    test(`to ${what}`, { timeout }, async t => {
      const { port } = await listen(t, plainHttp2)
      const client = await session(t, port, options)
      // Its settings have come when the first response has.
      await stream(client, [start(), body()])
      assert.deepEqual(await announced(steps => stream(client, steps, headers)), expected)
    })
  }
})

const trailers = (headers, more) => ['send', { type: 'http.response.trailers', headers: headers.map(pair => pair.map(bytes)), ...more }]

describe('trailers', () => {
  const fields = [['x-sum', '1'], ['x-twice', 'a'], ['x-twice', 'b'], ['x-latin', '\xe9']]
  const head = start({ trailers: true, headers: pairs({ trailer: 'x-sum, x-twice' }) })

  for (const [what, steps] of [
    ['a streamed body', [head, part('one'), body('two'), trailers(fields)]],
    ['a body in one part', [head, body('onetwo'), trailers(fields)]],
    ['several messages', [head, body('onetwo'), trailers(fields.slice(0, 1), { more_trailers: true }), trailers(fields.slice(1))]]
  ]) {
    test(`follow ${what} over HTTP/1.1, order, repeats and bytes kept`, { timeout }, async t => {
      const { port, errors } = await listen(t)
      const { headers, body: text, rawTrailers } = await request(port, steps, { headers: { te: 'trailers' } })
      assert.equal(String(text), 'onetwo')
      assert.equal(headers['transfer-encoding'], 'chunked')
      assert.equal(headers.trailer, 'x-sum, x-twice')
      assert.deepEqual(rawTrailers, fields.flat())
      assert.deepEqual(errors, [])
    })

    test(`follow ${what} over HTTP/2`, { timeout }, async t => {
      const { port, errors } = await listen(t, plainHttp2)
      const { headers, body: text, trailers: received } = await stream(await session(t, port), steps, { te: 'trailers' })
      assert.equal(String(text), 'onetwo')
      assert.equal(headers.trailer, 'x-sum, x-twice')
      assert.deepEqual(received, { 'x-sum': '1', 'x-twice': 'a, b', 'x-latin': '\xe9' })
      assert.deepEqual(errors, [])
    })
  }

  test('are not sent to a client without TE: trailers, nor announced by a header', { timeout }, async t => {
    const { port, errors } = await listen(t)
    const name = unique('refused')
    const message = { type: 'http.response.trailers', headers: [] }
    const { status, headers, rawTrailers } = await request(port, [head, body('all'), ['attempt', name, message]])
    assert.equal(status, 200)
    assert.equal(headers.trailer, undefined)
    assert.deepEqual(rawTrailers, [])
    assert.equal((await noted(name))[0], 'ValueError')
    assert.deepEqual(errors, [])
  })

  // Scenario: Node throws at these over HTTP/2, in an event of its own, which ended the process.
  const forbidden = [
    ['connection', 'close'], ['transfer-encoding', 'chunked'], ['upgrade', 'x'], ['te', 'x'], ['keep-alive', 'timeout=9'],
    ['content-length', '3'], ['host', 'a'], ['trailer', 'x']
  ]
  test('leave out what only a head can say, over HTTP/1.1', { timeout }, async t => {
    const { port, errors } = await listen(t)
    const { rawTrailers } = await request(port, [start({ trailers: true }), body('all'), trailers([...forbidden, ['x-sum', '1']])], { headers: { te: 'trailers' } })
    assert.deepEqual(rawTrailers, ['x-sum', '1'])
    assert.deepEqual(errors, [])
  })

  test('leave out what only a head can say, over HTTP/2', { timeout }, async t => {
    const { port, errors } = await listen(t, plainHttp2)
    const client = await session(t, port)
    const received = await stream(client, [start({ trailers: true }), body('all'), trailers([...forbidden, ['x-sum', '1']])], { te: 'trailers' })
    assert.deepEqual(received.trailers, { 'x-sum': '1' })
    const none = await stream(client, [start({ trailers: true }), body('all'), trailers(forbidden)], { te: 'trailers' })
    assert.deepEqual([String(none.body), none.trailers], ['all', undefined])
    assert.deepEqual(errors, [])
  })

  test('that Node does not take end the stream with an error, over HTTP/2', { timeout }, async t => {
    const { port, errors } = await listen(t, plainHttp2)
    const client = await session(t, port)
    const steps = [start({ trailers: true }), body('all'), trailers([['etag', '1'], ['etag', '2']])]
    await assert.rejects(stream(client, steps, { te: 'trailers' }), { code: 'ERR_HTTP2_STREAM_ERROR' })
    assert.deepEqual(errors.map(error => error.code), ['ERR_HTTP2_HEADER_SINGLE_VALUE'])
    assert.equal(String((await stream(client, [start(), body('next')])).body), 'next')
  })

  test('are left out after a body with content-length over HTTP/1.1', { timeout }, async t => {
    const { port, errors } = await listen(t)
    const steps = [start({ trailers: true, headers: pairs({ 'content-length': '3', trailer: 'x-sum' }) }), body('all'), trailers([['x-sum', '1']])]
    const { headers, body: text, rawTrailers } = await request(port, steps, { headers: { te: 'trailers' } })
    assert.deepEqual([String(text), headers['content-length'], headers.trailer], ['all', '3', undefined])
    assert.deepEqual(rawTrailers, [])
    assert.deepEqual(errors, [])
  })

  for (const [what, make, ask] of [
    ['HTTP/1.1', undefined, (_t, port, steps) => request(port, steps, { method: 'HEAD', headers: { te: 'trailers' } })],
    ['HTTP/2', plainHttp2, async (t, port, steps) => stream(await session(t, port), steps, { ':method': 'HEAD', te: 'trailers' })]
  ]) {
    test(`are left out of a HEAD over ${what}`, { timeout }, async t => {
      const { port, errors } = await listen(t, make)
      const name = unique('done')
      const { status, body: text } = await ask(t, port, [head, body('all'), trailers(fields), ['note', name]])
      assert.deepEqual([status, text.length], [200, 0])
      await noted(name)
      assert.deepEqual(errors, [])
    })
  }
})

const hint = (...links) => ['send', { type: 'http.response.early_hint', links: links.map(bytes) }]

describe('early hints', () => {
  const steps = [start(), hint('</a.css>; rel=preload; as=style', '</b.js>; rel=preload; as=script'), hint('</c.css>; rel=preload'), body('all')]
  const expected = [[103, '</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script'], [103, '</c.css>; rel=preload']]

  test('come before the response over HTTP/1.1', { timeout }, async t => {
    const { port } = await listen(t)
    const { status, body: text, hints } = await request(port, steps)
    assert.deepEqual([status, String(text)], [200, 'all'])
    assert.deepEqual(hints, expected)
  })

  test('come before the response over HTTP/2', { timeout }, async t => {
    const { port } = await listen(t, plainHttp2)
    const { status, body: text, hints } = await stream(await session(t, port), steps)
    assert.deepEqual([status, String(text)], [200, 'all'])
    assert.deepEqual(hints, expected)
  })

  test('after the head are left out', { timeout }, async t => {
    const { port, errors } = await listen(t)
    const name = unique('go')
    const req = http.get({ host: '127.0.0.1', port, agent: false, path: script(start(), part('first'), ['released', name], hint('</a>; rel=x'), body('last')) })
    req.on('information', () => assert.fail('a hint'))
    const [res] = await once(req, 'response')
    await once(res, 'readable')
    await request(port, [['release', name], start(), body()])
    assert.equal(String(await collect(res)), 'firstlast')
    assert.deepEqual(errors, [])
  })

  // Scenario: Node throws at these, in a callback, which ended the process.
  for (const link of ['no link', '</a>; rel="preload stylesheet"', '\xe9', '']) {
    test(`that Node does not take are left out: ${JSON.stringify(link)}`, { timeout }, async t => {
      const { port, errors } = await listen(t)
      const { status, hints } = await request(port, [start(), hint(link), hint('</a>; rel=x'), body('all')])
      assert.equal(status, 200)
      assert.deepEqual(hints.at(-1), [103, '</a>; rel=x'])
      assert.deepEqual(errors, [])
    })
  }
})

const push = (target, headers = []) => ['send', { type: 'http.response.push', path: target, headers: headers.map(pair => pair.map(bytes)) }]

describe('pushes', () => {
  /** A request whose application pushes `target`; what the client got of both. */
  async function pushed (client, steps, headers) {
    const promised = []
    client.on('stream', (each, fields) => {
      const got = { fields, head: once(each, 'push').then(([head]) => head), body: collect(each) }
      promised.push(got)
    })
    const response = await stream(client, steps, headers)
    return { response, promised: await Promise.all(promised.map(async ({ fields, head, body: text }) => ({ fields, head: await head, body: await text }))) }
  }

  for (const [what, make, options] of [
    ['HTTP/2', plainHttp2, {}],
    ['HTTP/2 under TLS, with allowHTTP1', secure(), { protocol: 'https' }]
  ]) {
    test(`are served as requests of their own: ${what}`, { timeout }, async t => {
      const { port, errors } = await listen(t, make)
      const scope = unique('scope')
      const target = decodeURIComponent(script(['scope_as', scope], start({ status: 201, headers: pairs({ 'x-a': 'b' }) }), part('pu'), body('shed')))
      const client = await session(t, port, options)
      const headers = [['accept', 'text/css'], ['x-twice', '1'], ['x-twice', '2']]
      const { response, promised } = await pushed(client, [start(), push(target, headers), body('main')], { ':authority': 'tea.test:81' })
      assert.equal(String(response.body), 'main')
      const [{ fields, head, body: text }] = promised
      assert.equal(promised.length, 1)
      assert.equal(fields[':path'], encodeURI(target))
      assert.equal(fields[':method'], 'GET')
      assert.equal(fields[':authority'], 'tea.test:81')
      assert.equal(fields[':scheme'], what.includes('TLS') ? 'https' : 'http')
      assert.deepEqual([head[':status'], head['x-a'], String(text)], [201, 'b', 'pushed'])
      const seen = await noted(scope)
      assert.deepEqual(seen.headers, [['host', 'tea.test:81'], ...headers].map(pair => pair.map(bytes)))
      assert.equal(seen.method, 'GET')
      assert.equal(seen.http_version, '2')
      assert.equal(seen.client[0], '127.0.0.1')
      // A pushed response pushes nothing (RFC 9113, 8.4).
      assert.equal('http.response.push' in seen.extensions, false)
      assert.deepEqual(errors, [])
    })
  }

  // Scenario: Node throws at these, in a callback, which ended the process.
  for (const [what, target, headers] of [
    ['a header that HTTP/2 does not have', '/a', [['connection', 'close']]],
    ['a pseudo-header', '/a', [[':path', '/b']]]
  ]) {
    test(`with ${what} are left out`, { timeout }, async t => {
      const { port, errors } = await listen(t, plainHttp2)
      const client = await session(t, port)
      const name = unique('attempt')
      const message = push(target, headers)[1]
      const { response, promised } = await pushed(client, [start(), ['attempt', name, message], body('main')])
      assert.equal(String(response.body), 'main')
      assert.deepEqual(promised, [])
      assert.deepEqual(errors, [])
    })
  }

  test('that the client refuses do not disturb the response', { timeout }, async t => {
    const { port, errors } = await listen(t, plainHttp2)
    const client = await session(t, port)
    client.on('stream', each => each.close(http2.constants.NGHTTP2_CANCEL))
    const target = decodeURIComponent(script(start(), part('x'), ['sleep', 0.05], body('y')))
    const response = await stream(client, [start(), push(target), body('main')])
    assert.equal(String(response.body), 'main')
    assert.deepEqual(errors, [])
  })
})

describe('files', () => {
  const size = content.length
  const head = start({ headers: pairs({ 'content-type': 'application/x-tea' }) })
  const slices = [
    ['a path', [['send', { type: 'http.response.pathsend', path: file }]], content],
    ['a descriptor', [['open', file], ['send_file', {}], ['close_file']], content],
    ['a descriptor at its position', [['open', file, 5], ['send_file', {}], ['close_file']], content.subarray(5)],
    ...[[0, 0], [0, 1], [1, 0], [0, 65_536], [65_535, 65_537], [100_000, 100_000], [size - 1, 1], [size - 1, 10], [size, 10], [0, size]].map(([offset, count]) => [
      `${count} bytes at ${offset}`, [['open', file], ['send_file', { offset, count }], ['close_file']], content.subarray(offset, offset + count)
    ]),
    ['all at 150000', [['open', file], ['send_file', { offset: 150_000 }], ['close_file']], content.subarray(150_000)],
    ['parts among bytes', [
      ['open', file], part('a'), ['send_file', { offset: 0, count: 3, more_body: true }], part('b'), ['send_file', { offset: 70_000, count: 70_000, more_body: true }],
      body('c'), ['close_file']
    ], Buffer.concat([Buffer.from('a'), content.subarray(0, 3), Buffer.from('b'), content.subarray(70_000, 140_000), Buffer.from('c')])]
  ]

  for (const [what, steps, expected] of slices) {
    test(`send ${what}`, { timeout }, async t => {
      const { port, errors } = await listen(t)
      const { status, headers, body: sent } = await request(port, [head, ...steps])
      assert.deepEqual([status, headers['content-type']], [200, 'application/x-tea'])
      assert.ok(sent.equals(expected), `${sent.length} bytes, not ${expected.length}`)
      assert.deepEqual(errors, [])
    })

    test(`send ${what} over HTTP/2`, { timeout }, async t => {
      const { port, errors } = await listen(t, plainHttp2)
      const { body: sent } = await stream(await session(t, port), [head, ...steps])
      assert.ok(sent.equals(expected), `${sent.length} bytes, not ${expected.length}`)
      assert.deepEqual(errors, [])
    })

    test(`send nothing to a HEAD: ${what}`, { timeout }, async t => {
      const { port, errors } = await listen(t)
      const name = unique('done')
      const { status, body: sent } = await request(port, [head, ...steps, ['note', name]], { method: 'HEAD' })
      assert.deepEqual([status, sent.length], [200, 0])
      await noted(name)
      assert.deepEqual(errors, [])
    })
  }

  for (const [status, target] of [[204, path.join(folder, 'none')], [304, path.join(folder, 'none')], [304, file]]) {
    test(`are not opened for a ${status}: ${path.basename(target)}`, { timeout }, async t => {
      const { port, errors } = await listen(t)
      const name = unique('done')
      const answer = await request(port, [start({ status }), ['send', { type: 'http.response.pathsend', path: target }], ['note', name]])
      assert.deepEqual([answer.status, answer.body.length], [status, 0])
      await noted(name)
      assert.deepEqual(errors, [])
    })
  }

  test('keep the application\'s content-length', { timeout }, async t => {
    const { port } = await listen(t)
    const steps = [start({ headers: pairs({ 'content-length': String(size) }) }), ['send', { type: 'http.response.pathsend', path: file }]]
    const { headers, body: sent } = await request(port, steps)
    assert.equal(headers['content-length'], String(size))
    assert.ok(sent.equals(content))
    const { headers: ofHead } = await request(port, steps, { method: 'HEAD' })
    assert.equal(ofHead['content-length'], String(size))
  })

  test('shorter than their content-length break the response off', { timeout }, async t => {
    const { port, errors } = await listen(t)
    const steps = [start({ headers: pairs({ 'content-length': String(size + 1) }) }), ['send', { type: 'http.response.pathsend', path: file }]]
    await assert.rejects(request(port, steps), { code: 'ECONNRESET' })
    assert.deepEqual(errors.map(error => error.code), ['ERR_PYTHON_CONTENT_LENGTH_MISMATCH'])
  })

  for (const [what, target, code] of [
    ['that is not there', path.join(folder, 'none'), 'ENOENT'],
    ['that is a folder', folder, 'EISDIR'],
    ['whose path is not absolute', path.relative(process.cwd(), file), 'ERR_PYTHON_INVALID_RESPONSE']
  ]) {
    const send = { type: 'http.response.pathsend', path: target }

    for (const [protocol, make, ask] of [
      ['HTTP/1.1', undefined, (_t, port, steps) => request(port, steps)],
      ['HTTP/2', plainHttp2, async (t, port, steps) => stream(await session(t, port), steps)]
    ]) {
      test(`${what} are a 500 before the head is sent: ${protocol}`, { timeout }, async t => {
        const { port, errors } = await listen(t, make)
        const head = start({ headers: pairs({ 'content-length': String(size), 'x-application': '1' }) })
        const { status, headers } = await ask(t, port, [head, ['send', send]])
        assert.deepEqual([status, headers['x-application']], [500, undefined])
        assert.deepEqual(errors.map(error => error.code), [code])
      })
    }

    test(`${what} break a response off that has begun`, { timeout }, async t => {
      const { port, errors } = await listen(t)
      const name = unique('go')
      const req = http.get({ host: '127.0.0.1', port, agent: false, path: script(start(), ['released', name], ['send', send]) })
      const [res] = await once(req, 'response')
      const broken = assert.rejects(collect(res), { code: 'ECONNRESET' })
      await request(port, [['release', name], start(), body()])
      await broken
      assert.deepEqual(errors.map(error => error.code), [code])
    })
  }
})

describe('tls', () => {
  /** The `tls` extension of one request. */
  async function facts (t, serverOptions, clientOptions) {
    const { port } = await listen(t, overTls(serverOptions))
    const name = unique('scope')
    await request(port, [['scope_as', name], start(), body()], { module: https, ...clientOptions })
    return (await noted(name)).extensions.tls
  }

  const asking = { requestCert: true, rejectUnauthorized: false, ca: certificates.root }
  /** Node 24 shows its caller only the client's own certificate (24.21), neither as an X509Certificate's issuer nor in detail. */
  const SHOWN_OF_CHAIN = process.version.startsWith('v24.') ? 1 : 2
  /** A certificate with the one that signed it, as a client sends them. */
  const withChain = ({ cert, key }) => ({ cert: cert + certificates.middle, key })

  test('is not there without TLS', { timeout }, async t => {
    const { port } = await listen(t)
    const name = unique('scope')
    await request(port, [['scope_as', name], start(), body()])
    assert.equal('tls' in (await noted(name)).extensions, false)
  })

  test('has these keys for a client without a certificate', { timeout }, async t => {
    const { cipher_suite: suite, ...rest } = await facts(t)
    assert.deepEqual(rest, {
      server_cert: certificates.server.cert, client_cert_chain: [], client_cert_name: null, client_cert_error: null, tls_version: 0x0304
    })
    assert.ok([0x1301, 0x1302, 0x1303].includes(suite))
  })

  test('has no error for a client that was asked and has no certificate', { timeout }, async t => {
    const seen = await facts(t, asking)
    assert.deepEqual([seen.client_cert_chain, seen.client_cert_name, seen.client_cert_error], [[], null, null])
  })

  for (const [name, expected] of [
    ['plain'], ['domain'], ['several'],
    // The library does not escape the backslash; RFC 4514, 2.4, does.
    ['escaped', 'CN=a/CN=b,OU=\\ around\\ ,OU=\\#first,O=Tea\\, \\"Leaves\\" \\+ \\<Sons\\>\\; \\\\ = #'],
    // The library has no short name for it.
    ['email', 'emailAddress=ada@example.test,CN=ada']
  ]) {
    test(`has the client's chain and its name: ${name}`, { timeout }, async t => {
      const client = certificates.clients[name]
      const seen = await facts(t, asking, withChain(client))
      assert.deepEqual(seen.client_cert_chain.slice(0, 2), [client.cert, certificates.middle].slice(0, SHOWN_OF_CHAIN))
      assert.equal(seen.client_cert_name, expected ?? client.name)
      assert.equal(seen.client_cert_error, null)
    })
  }

  for (const [what, client, serverOptions, error] of [
    ['of a stranger', certificates.stranger, {}, /^UNABLE_TO_(GET_ISSUER_CERT|VERIFY_LEAF_SIGNATURE)/],
    ['without the chain', certificates.clients.plain, {}, /^UNABLE_TO_(GET_ISSUER_CERT|VERIFY_LEAF_SIGNATURE)/],
    ['of an unknown root', withChain(certificates.clients.plain), { ca: certificates.server.cert }, /^UNABLE_TO_GET_ISSUER_CERT/]
  ]) {
    test(`has the error of a certificate ${what}`, { timeout }, async t => {
      const seen = await facts(t, { ...asking, ...serverOptions }, { cert: client.cert, key: client.key })
      assert.equal(seen.client_cert_chain.length > 0, true)
      assert.equal(typeof seen.client_cert_name, 'string')
      assert.match(seen.client_cert_error, error)
    })
  }

  for (const [protocol, version] of [['TLSv1.2', 0x0303], ['TLSv1.3', 0x0304]]) {
    test(`has the version: ${protocol}`, { timeout }, async t => {
      assert.equal((await facts(t, {}, { minVersion: protocol, maxVersion: protocol })).tls_version, version)
    })
  }

  // IANA's numbers, for what this OpenSSL has.
  const suites = [
    ['TLS_AES_128_GCM_SHA256', 0x1301, 'TLSv1.3'], ['TLS_AES_256_GCM_SHA384', 0x1302, 'TLSv1.3'], ['TLS_CHACHA20_POLY1305_SHA256', 0x1303, 'TLSv1.3'],
    ['ECDHE-ECDSA-AES128-GCM-SHA256', 0xc02b], ['ECDHE-ECDSA-AES256-GCM-SHA384', 0xc02c], ['ECDHE-ECDSA-CHACHA20-POLY1305', 0xcca9],
    ['ECDHE-ECDSA-AES128-SHA256', 0xc023], ['ECDHE-ECDSA-AES256-SHA384', 0xc024], ['ECDHE-ECDSA-AES128-SHA', 0xc009], ['ECDHE-ECDSA-AES256-SHA', 0xc00a],
    ['ECDHE-RSA-AES128-GCM-SHA256', 0xc02f], ['ECDHE-RSA-AES256-GCM-SHA384', 0xc030], ['ECDHE-RSA-CHACHA20-POLY1305', 0xcca8],
    ['ECDHE-RSA-AES128-SHA256', 0xc027], ['ECDHE-RSA-AES256-SHA384', 0xc028], ['ECDHE-RSA-AES128-SHA', 0xc013], ['ECDHE-RSA-AES256-SHA', 0xc014],
    ['AES128-GCM-SHA256', 0x009c], ['AES256-GCM-SHA384', 0x009d], ['AES128-SHA256', 0x003c], ['AES256-SHA256', 0x003d], ['AES128-SHA', 0x002f], ['AES256-SHA', 0x0035],
    ['DHE-RSA-AES128-GCM-SHA256', 0x009e], ['DHE-RSA-AES256-GCM-SHA384', 0x009f], ['DHE-RSA-CHACHA20-POLY1305', 0xccaa]
  ]
  const known = tls.getCiphers()
  for (const [suite, number, protocol = 'TLSv1.2'] of suites) {
    test(`has the suite: ${suite}`, { timeout, skip: !known.includes(suite.toLowerCase()) && 'not in this OpenSSL' }, async t => {
      const server = suite.includes('ECDSA') ? certificates.server : certificates.rsa
      const own = { minVersion: protocol, maxVersion: protocol, ciphers: suite }
      assert.equal((await facts(t, { ...server, ...own, dhparam: 'auto' }, own)).cipher_suite, number)
    })
  }

  test('is that of the session over HTTP/2, and of a WebSocket', { timeout }, async t => {
    const { server, port } = await listen(t, secure(asking))
    attachWebSocket(server, handler)
    const own = withChain(certificates.clients.plain)
    const client = await session(t, port, { protocol: 'https', ...own })
    const [first, second] = [unique('scope'), unique('scope')]
    await stream(client, [['scope_as', first], start(), body()])
    const socket = new WebSocket(`wss://127.0.0.1:${port}${script(['scope_as', second], ...accept(), close())}`, { rejectUnauthorized: false, ...own })
    await once(socket, 'close')
    const [ofStream, ofSocket] = [await noted(first), await noted(second)]
    assert.deepEqual([ofStream.scheme, ofSocket.scheme], ['https', 'wss'])
    for (const { extensions: { tls: seen } } of [ofStream, ofSocket]) {
      assert.equal(seen.server_cert, certificates.server.cert)
      assert.deepEqual(seen.client_cert_chain.slice(0, 2), [certificates.clients.plain.cert, certificates.middle].slice(0, SHOWN_OF_CHAIN))
      assert.equal(seen.client_cert_name, certificates.clients.plain.name)
      assert.equal(seen.client_cert_error, null)
      assert.equal(seen.tls_version, 0x0304)
    }
  })
})

describe('HTTP/2', () => {
  test('pseudo-headers become keys of the scope, and no headers', { timeout }, async t => {
    const { port } = await listen(t, plainHttp2)
    const client = await session(t, port)
    const name = unique('scope')
    await stream(client, [['scope_as', name], start(), body()], { ':method': 'REPORT', ':authority': 'tea.test:81', host: 'other.test', 'x-a': '1' })
    const scope = await noted(name)
    assert.deepEqual([scope.method, scope.path, scope.scheme, scope.http_version], ['REPORT', '/script', 'http', '2'])
    assert.deepEqual(scope.headers, [['host', 'tea.test:81'], ['x-a', '1']].map(pair => pair.map(bytes)))
  })

  test('a cookie that the client has split is one field', { timeout }, async t => {
    const { port } = await listen(t, plainHttp2)
    const client = await session(t, port)
    const name = unique('scope')
    await stream(client, [['scope_as', name], start(), body()], { 'x-a': '1', cookie: ['a=1', 'b=2', 'c=3'], 'x-b': ['2', '3'] })
    const { headers } = await noted(name)
    const expected = [['x-a', '1'], ['cookie', 'a=1; b=2; c=3'], ['x-b', '2'], ['x-b', '3']]
    assert.deepEqual(headers.slice(1), expected.map(pair => pair.map(bytes)))
  })

  test('a server with allowHTTP1 serves both', { timeout }, async t => {
    const { port } = await listen(t, secure())
    const names = [unique('scope'), unique('scope')]
    await stream(await session(t, port, { protocol: 'https' }), [['scope_as', names[0]], start(), body()])
    const { body: text } = await request(port, [['scope_as', names[1]], start(), body('all')], { module: https })
    assert.equal(String(text), 'all')
    assert.deepEqual([(await noted(names[0])).http_version, (await noted(names[1])).http_version], ['2', '1.1'])
  })
})

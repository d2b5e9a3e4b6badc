// createRequestListener on real servers: every request goes over a socket to the ASGI application in
// fixtures/http_listener.py, which answers with what it saw.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import express from 'express'
import { Headers, PythonHandler, PythonHandlerError, Response } from '../index.js'
import { body, script, start } from './script.mjs'
import { createRequestListener, stopGracefully } from '../http.js'
import interpreter from '../lib/interpreter.js'

const timeout = 30_000
const docroot = fileURLToPath(new URL('fixtures', import.meta.url))
const handler = new PythonHandler({ docroot, appTarget: 'http_listener:app' })
const silent = { onError () {} }
const folder = mkdtempSync(join(tmpdir(), 'python-node-'))
const { executable } = interpreter.findInterpreter({ docroot })
const certificates = JSON.parse(execFileSync(executable, [join(docroot, 'certificates.py')]))

after(() => rmSync(folder, { recursive: true }))

/** A server on a free port that is gone, with its connections, when the test ends. */
async function serve (t, listener, { make = http.createServer, at = { port: 0, host: '127.0.0.1' }, options = {} } = {}) {
  const server = make(options, listener)
  server.listen(at)
  await once(server, 'listening')
  t.after(async () => {
    server.closeAllConnections?.()
    server.close()
  })
  const { port } = server.address()
  return { server, port, origin: `http://127.0.0.1:${port}` }
}

function listen (t, options, serverOptions) {
  return serve(t, createRequestListener(handler, options), serverOptions)
}

/** What `onError` was told, and a promise of the first. */
function recorder () {
  const errors = []
  let first
  const reported = new Promise(resolve => { first = resolve })
  return {
    errors,
    reported,
    onError (error) {
      errors.push(error)
      first(error)
    }
  }
}

/** Fails the test if anything is reported or thrown into the process. */
function quiet (t) {
  const { errors, onError } = recorder()
  const thrown = []
  const take = error => thrown.push(error)
  process.on('uncaughtException', take)
  process.on('unhandledRejection', take)
  t.after(() => {
    process.off('uncaughtException', take)
    process.off('unhandledRejection', take)
    assert.deepEqual([...errors, ...thrown], [])
  })
  return { onError }
}

async function collect (stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** One request through node:http, with the body given or none. */
async function request (port, { body, module = http, ...options } = {}) {
  const req = module.request({ host: '127.0.0.1', port, agent: false, ...options })
  req.end(body)
  const [res] = await once(req, 'response')
  const content = await collect(res)
  return { status: res.statusCode, headers: res.headers, rawHeaders: res.rawHeaders, body: content, res }
}

async function json (port, options) {
  return JSON.parse((await request(port, options)).body)
}

/** Sends bytes as they are; resolves with all that came back once the server closed the connection. */
async function raw (port, text) {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(Buffer.from(text, 'latin1'))
  const chunks = []
  socket.on('data', chunk => chunks.push(chunk))
  await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

/** Reads from the socket until `wanted` has come; returns all so far. */
async function readUntil (socket, wanted) {
  let text = ''
  while (!text.includes(wanted)) text += String((await once(socket, 'data'))[0])
  return text
}

function sha256 (bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Whether a descriptor of this process is open on a file. */
function isOpen (path) {
  return readdirSync('/proc/self/fd').some(name => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === path
    } catch {
      // The one that reads the folder is closed already.
      return false
    }
  })
}

/** Waits until `read()` gives the same non-zero number for a while: whatever moved has stopped. */
async function settled (read) {
  let last = -1
  for (let same = 0; same < 5;) {
    const now = await read()
    same = now === last && now > 0 ? same + 1 : 0
    last = now
    await sleep(50)
  }
  return last
}

describe('what the application is told', () => {
  test('method, target, addresses and header lines as the client sent them', { timeout }, async t => {
    const { port } = await listen(t)
    const text = await raw(port, 'REPORT /scope/a%2Fb%20c?q=%20&r HTTP/1.1\r\nHost: example.test:81\r\n' +
      'X-Twice: 1\r\nAccept: */*\r\nx-twice: 2\r\nX-Latin: caf\xe9\r\nConnection: close\r\n\r\n')
    const scope = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))
    assert.equal(scope.method, 'REPORT')
    assert.equal(scope.path, '/scope/a/b c')
    assert.equal(scope.raw_path, '/scope/a%2Fb%20c')
    assert.equal(scope.query_string, 'q=%20&r')
    assert.equal(scope.scheme, 'http')
    assert.equal(scope.http_version, '1.1')
    assert.equal(scope.root_path, '')
    assert.equal(scope.client[0], '127.0.0.1')
    assert.equal(typeof scope.client[1], 'number')
    assert.deepEqual(scope.server, ['127.0.0.1', port])
    assert.deepEqual(scope.headers, [
      ['host', 'example.test:81'], ['x-twice', '1'], ['accept', '*/*'], ['x-twice', '2'], ['x-latin', 'caf\xe9'],
      ['connection', 'close']
    ])
  })

  test('HTTP/1.0, with no Host header', { timeout }, async t => {
    const { port } = await listen(t)
    const text = await raw(port, 'GET /scope HTTP/1.0\r\n\r\n')
    const scope = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))
    assert.equal(scope.http_version, '1.0')
    assert.deepEqual(scope.headers, [])
  })

  test('the path of a Unix socket as server, and no client', { timeout, skip: process.platform === 'win32' }, async t => {
    const directory = mkdtempSync(join(tmpdir(), 'python-node-'))
    t.after(() => rmSync(directory, { recursive: true }))
    const path = join(directory, 'http.sock')
    await listen(t, {}, { at: { path } })
    const scope = await json(undefined, { host: undefined, socketPath: path, path: '/scope' })
    assert.deepEqual(scope.server, [path, null])
    assert.equal(scope.client, null)
  })

  test('https as scheme under TLS', { timeout }, async t => {
    const psk = randomBytes(32)
    const tls = { ciphers: 'PSK', maxVersion: 'TLSv1.2' }
    const { port } = await listen(t, {}, { make: https.createServer, options: { ...tls, pskCallback: () => psk } })
    const scope = await json(port, {
      module: https, path: '/scope', ...tls, pskCallback: () => ({ psk, identity: 'test' }), checkServerIdentity () {}
    })
    assert.equal(scope.scheme, 'https')
  })

  test('facts of the connection stay those of the connection over keep-alive', { timeout }, async t => {
    const { port } = await listen(t)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => agent.destroy())
    const first = await json(port, { agent, path: '/scope?1' })
    const second = await json(port, { agent, path: '/scope?2' })
    assert.deepEqual(second.client, first.client)
    assert.equal(second.query_string, '2')
  })

  for (const [form, target, path, host] of [
    ['a path that begins with two slashes', '//other.test/x?y', '//other.test/x', 'here.test'],
    ['an absolute target', 'http://other.test/scope/x?y', '/scope/x', 'other.test'],
    ['an absolute target without a path', 'http://other.test?y', '/', 'other.test']
  ]) {
    test(`${form} is a path`, { timeout }, async t => {
      const { port } = await listen(t, silent)
      const text = await raw(port, `GET ${target} HTTP/1.1\r\nHost: here.test\r\nConnection: close\r\n\r\n`)
      const scope = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))
      assert.equal(scope.path, path)
      assert.equal(scope.query_string, 'y')
      assert.deepEqual(scope.headers[0], ['host', host])
    })
  }
})

test('OPTIONS * keeps its asterisk', { timeout }, async t => {
  // The fixture dispatches on the path, so this application is a handler of its own.
  let url
  const { port } = await serve(t, createRequestListener({
    async handleStream (request) {
      url = request.url
      return new Response({ status: 204 })
    }
  }))
  assert.equal((await request(port, { method: 'OPTIONS', path: '*' })).status, 204)
  assert.equal(url, '*')
})

describe('requests that are refused', () => {
  const head = 'Host: a\r\n'
  for (const [what, text, status, options] of [
    ['two Host headers', `GET /scope HTTP/1.1\r\nHost: b\r\n${head}\r\n`, 400],
    ['an unknown transfer coding', `POST /scope HTTP/1.1\r\n${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, 501],
    ['a transfer coding that ends at the close', `POST /scope HTTP/1.1\r\n${head}Transfer-Encoding: gzip\r\n\r\n`, 501],
    ['a transfer coding in HTTP/1.0', 'POST /scope HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    ['two framings, through the lenient parser',
      `POST /scope HTTP/1.1\r\n${head}Content-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400,
      { insecureHTTPParser: true }],
    ['a control character in a header, through the lenient parser',
      `GET /scope HTTP/1.1\r\n${head}Connection: close\r\nX-Control: a\x01b\r\n\r\n`, 400, { insecureHTTPParser: true }],
    ['a target of another scheme', `GET ftp://a/b HTTP/1.1\r\n${head}\r\n`, 400],
    ['user information in the target', `GET http://user@a/ HTTP/1.1\r\n${head}\r\n`, 400],
    ['an asterisk with another method than OPTIONS', `GET * HTTP/1.1\r\n${head}\r\n`, 400],
    ['a request line of HTTP/2', `GET /scope HTTP/2.0\r\n${head}\r\n`, 505]
  ]) {
    test(what, { timeout }, async t => {
      const { errors, onError } = recorder()
      const { port } = await listen(t, { onError }, { options })
      const answer = await raw(port, text)
      assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `))
      assert.match(answer, /connection: close/i)
      assert.equal(errors.length, 1)
      assert.match(errors[0].code, /^ERR_PYTHON_/)
    })
  }
})

describe('request bodies', () => {
  for (const [what, options, body] of [
    ['no body', { method: 'GET' }, undefined],
    ['content-length 0', { method: 'POST', headers: { 'content-length': 0 } }, undefined],
    ['one packet with the head', { method: 'POST', headers: { 'content-length': 5 } }, Buffer.from('hello')],
    ['a chunked byte', { method: 'POST', headers: { 'transfer-encoding': 'chunked' } }, Buffer.from('x')],
    ['8 MiB', { method: 'PUT', headers: { 'content-length': 8 << 20 } }, randomBytes(8 << 20)],
    ['8 MiB chunked', { method: 'PUT', headers: { 'transfer-encoding': 'chunked' } }, randomBytes(8 << 20)],
    ['a body with GET', { method: 'GET', headers: { 'content-length': 5 } }, Buffer.from('hello')]
  ]) {
    test(`${what} arrives whole`, { timeout }, async t => {
      const { port } = await listen(t)
      const { length, sha256: digest } = await json(port, { path: '/digest', body, ...options })
      assert.equal(length, body?.length ?? 0)
      assert.equal(digest, sha256(body ?? ''))
    })
  }

  test('a POST without length or coding has no body', { timeout }, async t => {
    const { port } = await listen(t)
    assert.match(await raw(port, 'POST /digest HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /"length": 0/)
  })

  test('a body that came with its head goes to the handler whole', { timeout }, async t => {
    let body
    const { port } = await serve(t, createRequestListener({
      async handleStream (request) {
        body = request.body
        return new Response({ status: 204 })
      }
    }))
    await raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello')
    assert.deepEqual(body, Buffer.from('hello'))
  })

  test('the first piece of the response comes before the request has ended', { timeout }, async t => {
    const { port } = await listen(t)
    const req = http.request({ port, host: '127.0.0.1', method: 'POST', path: '/echo', agent: false })
    const response = once(req, 'response')
    for (let i = 0; i < 3; i++) {
      req.write(`piece ${i};`)
      if (i === 0) req.res = (await response)[0]
      const [chunk] = await once(req.res, 'data')
      assert.equal(String(chunk), `piece ${i};`)
    }
    req.end()
    await once(req.res, 'end')
  })

  test('a client that sends faster than the application reads is held back', { timeout }, async t => {
    const { port, server } = await listen(t)
    const connected = once(server, 'connection')
    const body = randomBytes(32 << 20)
    const req = http.request({
      port, host: '127.0.0.1', method: 'POST', path: '/digest?upload', agent: false, headers: { 'content-length': body.length }
    })
    req.end(body)
    const [socket] = await connected
    const taken = await settled(() => socket.bytesRead)
    assert.ok(taken < 4 << 20, `${taken} bytes were read`)
    await request(port, { path: '/set?upload' })
    const [res] = await once(req, 'response')
    assert.equal(JSON.parse(await collect(res)).sha256, sha256(body))
  })

  test('an answer before the body was read leaves the connection usable', { timeout }, async t => {
    const { port } = await listen(t)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => agent.destroy())
    const first = await request(port, { agent, method: 'POST', path: '/ignore', body: randomBytes(4 << 20) })
    assert.equal(first.status, 200)
    const second = await request(port, { agent, path: '/ignore' })
    assert.equal(second.status, 200)
    assert.equal(first.res.socket, second.res.socket)
  })

  test('a handler that stops in the middle of the body leaves the connection usable', { timeout }, async t => {
    const { port } = await serve(t, createRequestListener({
      async handleStream ({ body }) {
        if (!Buffer.isBuffer(body)) await body[Symbol.asyncIterator]().next()
        return new Response({ status: 200 })
      }
    }))
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => agent.destroy())
    const first = await request(port, { agent, method: 'POST', body: randomBytes(4 << 20) })
    const second = await request(port, { agent })
    assert.equal(first.res.socket, second.res.socket)
  })

  test('100 Continue is sent when the application reads, with a checkContinue listener', { timeout }, async t => {
    const { port, server } = await listen(t)
    server.on('checkContinue', createRequestListener(handler))
    const req = http.request({
      port, host: '127.0.0.1', method: 'POST', path: '/digest', agent: false, headers: { expect: '100-continue', 'content-length': 5 }
    })
    req.flushHeaders()
    await once(req, 'continue')
    req.end('hello')
    const [res] = await once(req, 'response')
    assert.equal(JSON.parse(await collect(res)).length, 5)
  })

  test('100 Continue is sent where it is one expectation of several', { timeout }, async t => {
    const { port, server } = await serve(t, () => assert.fail('a plain request'))
    server.on('checkContinue', createRequestListener(handler))
    const socket = net.connect(port, '127.0.0.1')
    socket.write('POST /digest HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: foo, 100-continue\r\nContent-Length: 5\r\n\r\n')
    await readUntil(socket, '100 Continue')
    socket.write('hello')
    assert.match(String(await collect(socket)), /"length": 5/)
  })

  test('100 Continue is not sent where the application does not read, and the connection closes', { timeout }, async t => {
    const { port, server } = await serve(t, () => assert.fail('a plain request'))
    const scripts = new PythonHandler({ docroot, appTarget: 'script:app' })
    t.after(() => scripts.close())
    server.on('checkContinue', createRequestListener(scripts))
    const path = script(start({ status: 403 }), body('refused'))
    const text = await raw(port, `POST ${path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`)
    assert.match(text, /^HTTP\/1\.1 403 [^]*\r\nConnection: close\r\n[^]*refused$/)
  })

  test('100 Continue is sent once without a checkContinue listener', { timeout }, async t => {
    const { port } = await listen(t)
    const text = await raw(port, 'POST /digest HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n' +
      'Content-Length: 5\r\n\r\nhello')
    assert.equal(text.match(/HTTP\/1\.1 100 Continue/g).length, 1)
    assert.match(text, /"length": 5/)
  })

  test('100 Continue is not sent for a body that is announced above maxBodySize', { timeout }, async t => {
    const small = new PythonHandler({ docroot, appTarget: 'http_listener:app', maxBodySize: 1000 })
    const { port, server } = await serve(t, () => assert.fail('a plain request'))
    server.on('checkContinue', createRequestListener(small, silent))
    const text = await raw(port, 'POST /digest HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n')
    assert.match(text, /^HTTP\/1\.1 413 /)
  })

  test('100 Continue is not sent to HTTP/1.0', { timeout }, async t => {
    const { port } = await listen(t)
    const socket = net.connect(port, '127.0.0.1')
    socket.write('POST /digest HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    socket.write('hello')
    assert.match(String(await collect(socket)), /^HTTP\/1\.1 200 [^]*"length": 5/)
  })

  test('100 Continue is not sent after the head of the response', { timeout }, async t => {
    const { port, server } = await serve(t, () => assert.fail('a plain request'))
    server.on('checkContinue', createRequestListener({
      async handleStream ({ body }) {
        const chunks = body[Symbol.asyncIterator]()
        const parts = [() => Buffer.from('first'), async () => (await chunks.next()).value, () => null]
        return {
          status: 200,
          headers: new Headers({ 'content-length': '10' }),
          complete: false,
          trailers: null,
          next: async () => parts.shift()()
        }
      }
    }, silent))
    const socket = net.connect(port, '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    const head = await readUntil(socket, 'first')
    socket.write('hello')
    assert.match(head + await collect(socket), /^HTTP\/1\.1 200 [^]*\r\n\r\nfirsthello$/)
  })

  test('a body announced above maxBodySize is a 413 before the application is called, and closes', { timeout }, async t => {
    const small = new PythonHandler({ docroot, appTarget: 'http_listener:app', maxBodySize: 1000 })
    const { port } = await serve(t, createRequestListener(small, silent))
    const socket = net.connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.write('POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n')
    const head = await readUntil(socket, '\r\n\r\n')
    assert.match(head, /^HTTP\/1\.1 413 [^]*\r\nconnection: close\r\n/i)
    const { completed, failed, bytesSent } = small.stats()
    assert.deepEqual([completed, failed, bytesSent], [0, 1, 0])
    const exact = await json(port, { method: 'POST', path: '/digest', body: randomBytes(1000), headers: { 'content-length': 1000 } })
    assert.equal(exact.length, 1000)
  })

  test('the rest of a body that is refused is read for a while, so that the client gets the answer', { timeout }, async t => {
    const small = new PythonHandler({ docroot, appTarget: 'http_listener:app', maxBodySize: 1000 })
    const { port, server } = await serve(t, createRequestListener(small, silent))
    const connected = once(server, 'connection')
    const length = 64 << 20
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', () => {})
    let text = ''
    socket.on('data', chunk => { text += chunk })
    socket.write(`POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`)
    const [accepted] = await connected
    socket.write(Buffer.alloc(length))
    await new Promise(resolve => socket.on('close', resolve))
    assert.match(text, /^HTTP\/1\.1 413 /)
    assert.ok(accepted.bytesRead > 1 << 20 && accepted.bytesRead < length / 2, `${accepted.bytesRead} bytes were read`)
  })

  test('a HEAD whose body is refused is answered before the rest of it', { timeout }, async t => {
    const small = new PythonHandler({ docroot, appTarget: 'http_listener:app', maxBodySize: 1000 })
    const { port, server } = await serve(t, createRequestListener(small, silent))
    const requested = once(server, 'request')
    const socket = net.connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.write('HEAD /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n')
    const closed = once(socket, 'close')
    assert.match(await readUntil(socket, '\r\n\r\n'), /^HTTP\/1\.1 413 /)
    assert.equal((await requested)[1].writableEnded, false)
    socket.write(Buffer.alloc(1001))
    await closed
  })

  test('a refused body that was never asked for closes the connection', { timeout }, async t => {
    const { port, server } = await serve(t, () => assert.fail('a plain request'))
    server.on('checkContinue', createRequestListener({
      handleStream: async () => { throw new PythonHandlerError('ERR_PYTHON_BODY_TOO_LARGE', 'too large') }
    }, silent))
    const text = await raw(port, 'POST /digest HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    assert.match(text, /^HTTP\/1\.1 413 /)
    assert.match(text, /connection: close/i)
  })
})

describe('a body that another part of the server looks at too', () => {
  /** Three parts of a body, the last two when the listener was called. */
  async function upload (t, before, { onError } = quiet(t)) {
    const listener = createRequestListener(handler, { onError })
    let resolve
    const served = new Promise(_resolve => { resolve = _resolve })
    const { port } = await serve(t, async (req, res) => {
      const looked = before(req)
      if (looked instanceof Promise) await looked
      listener(req, res)
      resolve()
    })
    const req = http.request({ port, host: '127.0.0.1', method: 'POST', path: '/digest', agent: false, headers: { 'content-length': 300_000 } })
    req.write(Buffer.alloc(100_000, 'a'))
    await served
    req.write(Buffer.alloc(100_000, 'b'))
    req.end(Buffer.alloc(100_000, 'c'))
    const [res] = await once(req, 'response')
    return { status: res.statusCode, text: String(await collect(res)) }
  }

  for (const [what, look] of [
    ['by a listener of \'data\'', (req, seen) => req.on('data', chunk => seen.push(chunk))],
    ['by a listener of \'data\', paused', (req, seen) => req.on('data', chunk => seen.push(chunk)).pause()],
    ['by a pipe', (req, seen) => req.pipe(new PassThrough().on('data', chunk => seen.push(chunk)))]
  ]) {
    test(`${what}, in the same turn: both get everything`, { timeout }, async t => {
      const seen = []
      let length = 0
      const { text } = await upload(t, req => {
        look(req, seen)
        req.on('end', () => { length = Buffer.concat(seen).length })
      })
      assert.equal(JSON.parse(text).sha256, sha256(Buffer.concat([Buffer.alloc(100_000, 'a'), Buffer.alloc(100_000, 'b'), Buffer.alloc(100_000, 'c')])))
      assert.equal(what === 'by a pipe' ? 300_000 : length, 300_000)
    })
  }

  test('a small one, in one packet, by a listener of \'data\'', { timeout }, async t => {
    const listener = createRequestListener(handler, quiet(t))
    const seen = []
    const { port } = await serve(t, (req, res) => {
      req.on('data', chunk => seen.push(chunk))
      listener(req, res)
    })
    assert.match(await raw(port, 'POST /digest HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello'), /"length": 5/)
    assert.equal(String(Buffer.concat(seen)), 'hello')
  })

  for (const [what, before] of [
    ['of which a part has gone by', req => new Promise(resolve => req.on('data', resolve))],
    ['of which a part was read', async req => {
      await once(req, 'readable')
      req.read()
      req.removeAllListeners('readable')
    }],
    ['that has another reader', async req => { req.on('readable', () => req.read()) }]
  ]) {
    test(`${what} is an error that says so`, { timeout }, async t => {
      const { reported, onError } = recorder()
      const { status } = await upload(t, before, { onError })
      assert.equal(status, 500)
      assert.equal((await reported).code, 'ERR_PYTHON_BODY_CONSUMED')
    })
  }
})

describe('responses', () => {
  test('order and repeats of headers are kept, and those of the connection left to Node', { timeout }, async t => {
    const { port } = await listen(t)
    const { rawHeaders, body, res } = await request(port, { path: '/headers' })
    const lines = []
    for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
    assert.deepEqual(lines.slice(0, 5), ['x-first: 1', 'set-cookie: a=1', 'x-repeated: one', 'set-cookie: b=2', 'x-repeated: two'])
    assert.equal(res.headers['transfer-encoding'], undefined)
    assert.notEqual(res.headers['keep-alive'], 'timeout=99')
    assert.equal(res.headers['content-length'], String(body.length))
    assert.equal(res.headers['x-latin'], 'caf\xe9')
  })

  test('an application can close the connection', { timeout }, async t => {
    const { port } = await listen(t)
    assert.match(await raw(port, 'GET /closing HTTP/1.1\r\nHost: a\r\n\r\n'), /bye$/)
  })

  test('the first chunk is sent while the application waits', { timeout }, async t => {
    const { port } = await listen(t)
    const req = http.get({ port, host: '127.0.0.1', path: '/first-chunk?sse', agent: false })
    const [res] = await once(req, 'response')
    const [chunk] = await once(res, 'data')
    assert.equal(String(chunk), 'data: first\n\n')
    req.destroy()
    assert.equal(await json(port, { path: '/wait?gone:sse' }), 'gone:sse')
  })

  test('the head is sent while the application waits before its first chunk', { timeout }, async t => {
    const { port } = await listen(t)
    const req = http.get({ port, host: '127.0.0.1', path: '/head-only', agent: false })
    const [res] = await once(req, 'response')
    res.on('error', () => {})
    req.destroy()
  })

  test('an application that sends faster than the client reads is held back', { timeout }, async t => {
    const { port } = await listen(t)
    const chunks = 512
    const req = http.get({ port, host: '127.0.0.1', path: `/download?slow=${chunks}`, agent: false })
    const [res] = await once(req, 'response')
    const sent = await settled(() => json(port, { path: '/sent?slow' }))
    assert.ok(sent < 16 << 20, `${sent} bytes were sent`)
    let length = 0
    for await (const chunk of res) length += chunk.length
    assert.equal(length, chunks * 65536)
  })

  for (const [what, method, query] of [
    ['HEAD, body in one message', 'HEAD', '200'],
    ['HEAD, streamed body', 'HEAD', '200=3'],
    ['204 with a body', 'GET', '204'],
    ['204 with a streamed body', 'GET', '204=3'],
    ['304 with a body', 'GET', '304'],
    ['304 with a streamed body', 'GET', '304=3']
  ]) {
    test(`${what}: the application ends undisturbed, no body is sent, the connection goes on`, { timeout }, async t => {
      const { errors, onError } = recorder()
      const { port } = await listen(t, { onError })
      const text = await raw(port, `${method} /status?${query} HTTP/1.1\r\nHost: a\r\n\r\n` +
        `GET /wait?ended:${method}:${query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
      const [first, second, content] = text.split('\r\n\r\n')
      assert.match(first, new RegExp(`^HTTP/1.1 ${query.slice(0, 3)} [^]*\r\nx-status: `))
      assert.doesNotMatch(first, /transfer-encoding|content-length/i)
      assert.match(second, /^HTTP\/1\.1 200 OK\r\n/)
      assert.equal(content, `"ended:${method}:${query}"`)
      assert.deepEqual(errors, [])
    })
  }

  test('a 205 says that it has no content', { timeout }, async t => {
    const { port } = await listen(t, quiet(t))
    const text = await raw(port, 'GET /status?205 HTTP/1.1\r\nHost: a\r\n\r\nGET /status?205=2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    const [first, second, rest] = text.split('\r\n\r\n')
    for (const head of [first, second]) assert.match(head, /^HTTP\/1\.1 205 [^]*\r\ncontent-length: 0/)
    assert.equal(rest, '')
  })

  for (const [what, request, connection] of [
    ['keeps both over HTTP/1.1', 'HTTP/1.1\r\nHost: a\r\n', 'upgrade'],
    ['keeps both beside a close', 'HTTP/1.1\r\nHost: a\r\nConnection: close\r\n', 'close, upgrade'],
    ['loses both over HTTP/1.0', 'HTTP/1.0\r\n', undefined]
  ]) {
    test(`an offer to upgrade ${what}`, { timeout }, async t => {
      const headers = { upgrade: 'tea/2', connection: 'Upgrade' }
      const { port } = await serve(t, createRequestListener({ handleStream: async () => new Response({ status: 426, headers }) }, quiet(t)))
      const socket = net.connect(port, '127.0.0.1')
      t.after(() => socket.destroy())
      socket.write(`GET / ${request}\r\n`)
      const head = await readUntil(socket, '\r\n\r\n')
      assert.equal(/^upgrade: (.*)\r\n/im.exec(head)?.[1], connection && 'tea/2')
      assert.equal(/^connection: (.*)\r\n/im.exec(head)?.[1], connection ?? 'close')
      if (connection !== 'upgrade') await once(socket, 'close')
    })
  }

  test('HEAD keeps the content-length of the application', { timeout }, async t => {
    const { port } = await listen(t)
    const { headers, body } = await request(port, { method: 'HEAD', path: '/download?head=2' })
    assert.equal(headers['content-length'], '131072')
    assert.equal(body.length, 0)
  })

  test('a failure after the answer to HEAD is reported', { timeout }, async t => {
    const { reported, onError } = recorder()
    const { port } = await listen(t, { onError })
    const socket = net.connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.write('HEAD /raise-later?r1 HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.match(await readUntil(socket, '\r\n\r\n'), /^HTTP\/1\.1 200 /)
    await request(port, { path: '/set?r1' })
    assert.equal((await reported).code, 'ERR_PYTHON_EXCEPTION')
  })

  test('HEAD of a body without end: the application is told when the connection closes', { timeout }, async t => {
    const { port } = await listen(t)
    const agent = new http.Agent({ keepAlive: true })
    assert.equal((await request(port, { agent, method: 'HEAD', path: '/first-chunk?left' })).status, 200)
    agent.destroy()
    assert.equal(await json(port, { path: '/wait?gone:left' }), 'gone:left')
  })

  test('HEAD of a body without end: the application is told after a second, the connection goes on', { timeout }, async t => {
    const { port } = await listen(t, quiet(t))
    const socket = net.connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.write('HEAD /flood?head HTTP/1.1\r\nHost: a\r\n\r\n')
    await readUntil(socket, '\r\n\r\n')
    socket.write('GET /wait?gone:head HTTP/1.1\r\nHost: a\r\n\r\n')
    await readUntil(socket, '"gone:head"')
  })

  for (const [what, query, whole] of [
    ['too much in one message', '3=5', true],
    ['too little in one message', '5=3', true],
    ['too much in a later chunk', '6=3,5', false],
    ['too little in all chunks', '9=3,5', false]
  ]) {
    test(`content-length, ${what}: ${whole ? 'a 500' : 'a destroyed socket'} and an error`, { timeout }, async t => {
      const { reported, onError } = recorder()
      const { port } = await listen(t, { onError })
      const text = await raw(port, `GET /length?${query} HTTP/1.1\r\nHost: a\r\n${whole ? 'Connection: close\r\n' : ''}\r\n`)
      assert.match((await reported).code, /^ERR_PYTHON_/)
      if (whole) {
        assert.match(text, /^HTTP\/1\.1 500 /)
      } else {
        assert.match(text, /^HTTP\/1\.1 200 /)
        assert.ok(/x*$/.exec(text)[0].length < parseInt(query))
      }
    })
  }

  for (const [what, status, headers, expected, lengths] of [
    ['a status that is not final is a 500', 101, [], 500, ['22']],
    ['a content-length that is no number is a 500', 200, [['content-length', '5x']], 500, ['22']],
    ['two different values of content-length are a 500', 200, [['content-length', '5'], ['content-length', '6']], 500, ['22']],
    ['the same content-length twice is sent once', 200, [['content-length', '5'], ['content-length', '5']], 200, ['5']],
    ['a 204 has no content-length', 204, [['content-length', '5']], 204, []]
  ]) {
    test(what, { timeout }, async t => {
      const { errors, onError } = recorder()
      const response = new Response({ status, headers, body: 'hello' })
      const { port } = await serve(t, createRequestListener({ handleStream: async () => response }, { onError, exposeErrors: false }))
      const text = await raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      assert.match(text, new RegExp(`^HTTP/1.1 ${expected} `))
      assert.deepEqual([...text.matchAll(/^content-length: (\d+)/gim)].map(([, length]) => length), lengths)
      assert.deepEqual(errors.map(({ code }) => code), expected === 500 ? ['ERR_PYTHON_INVALID_RESPONSE'] : [])
    })
  }
})

describe('clients that leave', () => {
  test('before the head', { timeout }, async t => {
    const { port } = await listen(t, quiet(t))
    const req = http.get({ port, host: '127.0.0.1', path: '/hang?one', agent: false })
    req.on('error', () => {})
    assert.equal(await json(port, { path: '/wait?started:one' }), 'started:one')
    req.destroy()
    assert.equal(await json(port, { path: '/wait?gone:one' }), 'gone:one')
  })

  test('while the response is streamed and held back', { timeout }, async t => {
    const { port } = await listen(t, quiet(t))
    const req = http.get({ port, host: '127.0.0.1', path: '/flood?out', agent: false })
    const [res] = await once(req, 'response')
    await settled(() => json(port, { path: '/sent?out' }))
    res.destroy()
    assert.equal(await json(port, { path: '/wait?gone:out' }), 'gone:out')
  })

  test('in the middle of the request body', { timeout }, async t => {
    const { port } = await listen(t, quiet(t))
    const req = http.request({
      port, host: '127.0.0.1', method: 'POST', path: '/hang?upload', agent: false, headers: { 'content-length': 100 }
    })
    req.on('error', () => {})
    req.write('half of it')
    assert.equal(await json(port, { path: '/wait?started:upload' }), 'started:upload')
    req.destroy()
    assert.equal(await json(port, { path: '/wait?gone:upload' }), 'gone:upload')
  })

  test('before the listener was called: the application is not', { timeout }, async t => {
    let calls = 0
    const listener = createRequestListener({ async handleStream () { calls++ } }, quiet(t))
    const called = new Promise(resolve => {
      serve(t, async (req, res) => {
        await once(res, 'close')
        listener(req, res)
        resolve()
      }).then(({ port }) => {
        const socket = net.connect(port, '127.0.0.1')
        socket.end('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      })
    })
    await called
    await sleep(0)
    assert.equal(calls, 0)
  })

  test('under HTTP/2, just before the head of a response that has no body to send', { timeout }, async t => {
    let session
    let aborted
    const told = new Promise(resolve => { aborted = resolve })
    const { port, server } = await serve(t, createRequestListener({
      async handleStream (_request, { signal }) {
        signal.addEventListener('abort', aborted)
        session.destroy()
        return { status: 200, headers: new Headers(), complete: false, next: () => once(signal, 'abort') }
      }
    }, quiet(t)), { make: http2.createServer })
    server.on('session', accepted => { session = accepted })
    const client = http2.connect(`http://127.0.0.1:${port}`)
    client.on('error', () => {})
    t.after(() => client.destroy())
    client.request({ ':method': 'HEAD' }).on('error', () => {})
    await told
  })

  test('when another part of the server destroys the response just before a write', { timeout }, async t => {
    let response
    const listener = createRequestListener({
      handleStream: async () => ({
        status: 200,
        headers: new Headers(),
        complete: false,
        async next () {
          response.destroy()
          return Buffer.from('too late')
        }
      })
    }, quiet(t))
    const { port } = await serve(t, (req, res) => {
      response = res
      listener(req, res)
    })
    await assert.rejects(request(port), { code: 'ECONNRESET' })
  })

  test('who take nothing for idleTimeout are cut off, and their connection with them', { timeout }, async t => {
    const own = await PythonHandler.load({ docroot, appTarget: 'response_body:app', idleTimeout: 100, highWaterMark: 64 * 1024 })
    const errors = []
    const { port } = await serve(t, createRequestListener(own, { onError (error) { errors.push(error.code) } }))
    const socket = net.connect(port, '127.0.0.1').pause()
    const closed = once(socket, 'close')
    socket.on('error', () => {})
    socket.write('GET /chunks/2000/65536 HTTP/1.1\r\nHost: a\r\n\r\n')
    while (errors.length === 0) await new Promise(setImmediate)
    assert.deepEqual(errors, ['ERR_PYTHON_IDLE_TIMEOUT'])
    socket.resume()
    await closed
    await own.close()
  })

  test('who take nothing of a file for idleTimeout are cut off, and the file is closed', { timeout, skip: process.platform !== 'linux' && 'reads /proc' }, async t => {
    const path = join(folder, 'large')
    writeFileSync(path, Buffer.alloc(32 << 20))
    const own = await PythonHandler.load({ docroot, appTarget: 'script:app', idleTimeout: 100 })
    const { reported, onError } = recorder()
    const { port } = await serve(t, createRequestListener(own, { onError }))
    const socket = net.connect(port, '127.0.0.1').pause()
    const closed = once(socket, 'close')
    socket.on('error', () => {})
    socket.write(`GET ${script(start(), ['send', { type: 'http.response.pathsend', path }])} HTTP/1.1\r\nHost: a\r\n\r\n`)
    assert.equal((await reported).code, 'ERR_PYTHON_IDLE_TIMEOUT')
    while (isOpen(path)) await new Promise(setImmediate)
    socket.resume()
    await closed
    await own.close()
  })

  test('with a pipelined request whose turn has not come', { timeout }, async t => {
    const { port } = await listen(t, quiet(t))
    const socket = net.connect(port, '127.0.0.1')
    socket.write('GET /hang?p1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /hang?p2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
    assert.equal(await json(port, { path: '/wait?started:p2' }), 'started:p2')
    socket.destroy()
    assert.equal(await json(port, { path: '/wait?gone:p1' }), 'gone:p1')
    assert.equal(await json(port, { path: '/wait?gone:p2' }), 'gone:p2')
  })

  test('pipelined requests are answered in their order', { timeout }, async t => {
    const { port } = await listen(t, quiet(t))
    const text = await raw(port, 'GET /wait?order HTTP/1.1\r\nHost: a\r\n\r\nGET /set?order HTTP/1.1\r\nHost: a\r\n' +
      'Connection: close\r\n\r\n')
    assert.ok(text.indexOf('"order"') < text.indexOf('"set"'))
    assert.notEqual(text.indexOf('"order"'), -1)
  })
})

describe('failures', () => {
  function production (t, value) {
    const before = process.env.NODE_ENV
    process.env.NODE_ENV = value
    t.after(() => {
      if (before === undefined) delete process.env.NODE_ENV
      else process.env.NODE_ENV = before
    })
  }

  test('before the head: a 500 with the traceback', { timeout }, async t => {
    production(t, 'development')
    const { reported, onError } = recorder()
    const { port } = await listen(t, { onError })
    const { status, headers, body } = await request(port, { path: '/raise' })
    assert.equal(status, 500)
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
    assert.match(String(body), /Traceback[^]*http_listener\.py[^]*ValueError: raised before the head/)
    assert.equal((await reported).code, 'ERR_PYTHON_EXCEPTION')
  })

  for (const [what, value, options] of [
    ['in production', 'production', {}],
    ['with exposeErrors: false', 'development', { exposeErrors: false }]
  ]) {
    test(`${what} the client learns nothing of the error`, { timeout }, async t => {
      production(t, value)
      const { port } = await listen(t, { ...silent, ...options })
      const { status, body } = await request(port, { path: '/raise' })
      assert.equal(status, 500)
      assert.equal(String(body), 'Internal Server Error\n')
    })
  }

  test('after the head: the socket is destroyed', { timeout }, async t => {
    const { reported, onError } = recorder()
    const { port } = await listen(t, { onError })
    const socket = net.connect(port, '127.0.0.1')
    socket.write('GET /raise-later?r2 HTTP/1.1\r\nHost: a\r\n\r\n')
    await readUntil(socket, 'begun')
    const rest = collect(socket)
    await request(port, { path: '/set?r2' })
    assert.doesNotMatch(String(await rest), /0\r\n/)
    assert.equal((await reported).code, 'ERR_PYTHON_EXCEPTION')
  })

  test('after the head, to HTTP/1.0: the connection is reset, since its end would mean a whole body', { timeout }, async t => {
    const { port } = await listen(t, silent)
    const socket = net.connect(port, '127.0.0.1')
    socket.write('GET /raise-later?r3 HTTP/1.0\r\n\r\n')
    await readUntil(socket, 'begun')
    const rest = assert.rejects(collect(socket), { code: 'ECONNRESET' })
    await request(port, { path: '/set?r3' })
    await rest
  })

  for (const [carrier, serverOptions, connect] of [
    ['TLS', { make: https.createServer, options: certificates.server }, ({ port }) => tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })],
    ['a Unix socket', { at: { path: join(folder, 'http10') } }, ({ path }) => net.connect(path)]
  ]) {
    const skip = process.platform === 'win32' && carrier === 'a Unix socket'
    // Scenario: only TCP can be reset; Node throws for anything else, and the process ended.
    test(`after the head, to HTTP/1.0 over ${carrier}: the connection ends, and nothing is thrown`, { timeout, skip }, async t => {
      quiet(t)
      const { reported, onError } = recorder()
      const { port } = await listen(t, { onError }, serverOptions)
      const path = serverOptions.at?.path
      const name = `r-${carrier.length}`
      const socket = connect({ port, path })
      socket.write(`GET /raise-later?${name} HTTP/1.0\r\n\r\n`)
      await readUntil(socket, 'begun')
      const rest = collect(socket)
      const set = await listen(t)
      await request(set.port, { path: `/set?${name}` })
      assert.equal((await reported).code, 'ERR_PYTHON_EXCEPTION')
      if (carrier === 'TLS') await assert.rejects(rest, { code: 'ECONNRESET' })
      else assert.equal(String(await rest), '')
    })
  }

  test('a response that does not come in time is a 504', { timeout }, async t => {
    const slow = new PythonHandler({ docroot, appTarget: 'http_listener:app', responseTimeout: 100 })
    const { port } = await serve(t, createRequestListener(slow, silent))
    assert.equal((await request(port, { path: '/hang?late' })).status, 504)
  })

  test('an upload that takes longer than the time for a response is none', { timeout }, async t => {
    const slow = new PythonHandler({ docroot, appTarget: 'http_listener:app', responseTimeout: 150 })
    const { port } = await serve(t, createRequestListener(slow, quiet(t)))
    const req = http.request({ port, host: '127.0.0.1', method: 'POST', path: '/digest', agent: false })
    const response = once(req, 'response')
    for (let part = 0; part < 10; part++) {
      req.write('part')
      await sleep(40)
    }
    req.end()
    const [res] = await response
    assert.equal(JSON.parse(await collect(res)).length, 40)
  })

  for (const [code, status] of [
    ['ERR_PYTHON_INVALID_URL', 400],
    ['ERR_PYTHON_BODY_TOO_LARGE', 413],
    ['ERR_PYTHON_HEADERS_TOO_LARGE', 431],
    ['ERR_PYTHON_OVERLOADED', 503],
    ['ERR_PYTHON_RESPONSE_TIMEOUT', 504],
    ['ERR_PYTHON_NO_RESPONSE', 500]
  ]) {
    test(`${code} is a ${status}`, { timeout }, async t => {
      const { port } = await serve(t, createRequestListener({
        handleStream: async () => { throw new PythonHandlerError(code, 'from the handler') }
      }, silent))
      const answer = await request(port)
      assert.equal(answer.status, status)
      assert.equal(answer.headers['retry-after'], status === 503 ? '1' : undefined)
    })
  }

  test('a handler that throws, and an onError that throws, do not reach the process', { timeout }, async t => {
    t.mock.method(console, 'error', () => {})
    const { port } = await serve(t, createRequestListener({ handleStream () { throw new TypeError('thrown') } }, {
      onError () { throw new Error('from onError') }
    }))
    await assert.rejects(request(port), { code: 'ECONNRESET' })
    assert.match(String(console.error.mock.calls[0].arguments[0]), /from onError/)
  })

  test('an onError that rejects does not reach the process', { timeout }, async t => {
    quiet(t)
    t.mock.method(console, 'error', () => {})
    const { port } = await listen(t, { onError: async () => { throw new Error('from onError') } })
    assert.equal((await request(port, { path: '/raise' })).status, 500)
    assert.match(String(console.error.mock.calls[0].arguments[0]), /from onError/)
  })

  test('the default reports nothing of a client\'s fault whose status is above 500', { timeout }, async t => {
    t.mock.method(console, 'error', () => {})
    const { port } = await listen(t)
    assert.match(await raw(port, 'GET /scope HTTP/2.0\r\nHost: a\r\n\r\n'), /^HTTP\/1\.1 505 /)
    assert.match(await raw(port, 'POST /scope HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n'), /^HTTP\/1\.1 501 /)
    assert.deepEqual(console.error.mock.calls, [])
  })

  test('the default reports to stderr what is the server\'s fault, without the query', { timeout }, async t => {
    t.mock.method(console, 'error', () => {})
    const { port } = await listen(t)
    await request(port, { path: '/raise?token=secret' })
    const lines = console.error.mock.calls.map(call => String(call.arguments[0]))
    assert.equal(lines.length, 1)
    assert.match(lines[0], /GET \/raise failed\n[^]*ValueError/)
    assert.doesNotMatch(lines[0], /secret/)
  })

  test('a missing handler or a wrong onError is an error when the listener is made', { timeout }, () => {
    assert.throws(() => createRequestListener({}), { code: 'ERR_PYTHON_INVALID_ARGUMENT' })
    for (const options of [null, 5, 'a', { onError: 'log' }, { exposeErrors: 'yes' }, { exposeErrors: 0 }, { pathSend: 1 }]) {
      assert.throws(() => createRequestListener(handler, options), { code: 'ERR_PYTHON_INVALID_ARGUMENT' })
    }
  })
})

describe('Express and Connect', () => {
  test('a mount prefix is the root path and stays in the path', { timeout }, async t => {
    const app = express()
    app.use('/api/v%201', createRequestListener(handler))
    const { port } = await serve(t, app)
    const scope = await json(port, { path: '/api/v%201/scope/x?y=1' })
    assert.equal(scope.root_path, '/api/v 1')
    assert.equal(scope.path, '/api/v 1/scope/x')
    assert.equal(scope.raw_path, '/api/v%201/scope/x')
    assert.equal(scope.query_string, 'y=1')
  })

  test('a path that a middleware rewrote is the one that counts', { timeout }, async t => {
    const app = express()
    app.use('/api', (req, _res, next) => {
      req.url = '/scope/new'
      next()
    }, createRequestListener(handler))
    const { port } = await serve(t, app)
    assert.equal((await json(port, { path: '/api/old' })).path, '/api/scope/new')
  })

  test('Connect, which does not say the prefix', { timeout }, async t => {
    const listener = createRequestListener(handler)
    const { port } = await serve(t, (req, res) => {
      // connect/index.js: the route is cut off, and a slash added where nothing is left.
      req.originalUrl = req.url
      req.url = req.url.slice('/mount'.length)
      if (req.url[0] !== '/') req.url = `/${req.url}`
      listener(req, res)
    })
    const deep = await json(port, { path: '/mount/scope?q' })
    assert.deepEqual([deep.root_path, deep.path, deep.query_string], ['/mount', '/mount/scope', 'q'])
    const bare = await json(port, { path: '/mount?q' })
    assert.deepEqual([bare.root_path, bare.path, bare.query_string], ['/mount', '/mount', 'q'])
  })

  test('headers of middleware stay, cookies of both are kept', { timeout }, async t => {
    const app = express()
    app.use((_req, res, next) => {
      res.setHeader('set-cookie', 'session=1')
      res.setHeader('vary', 'origin')
      res.setHeader('x-first', 'middleware')
      next()
    }, createRequestListener(handler))
    const { port } = await serve(t, app)
    const { headers } = await request(port, { path: '/headers' })
    assert.deepEqual(headers['set-cookie'], ['session=1', 'a=1', 'b=2'])
    assert.equal(headers.vary, 'origin, accept')
    assert.equal(headers['x-first'], '1')
    assert.equal(headers['x-repeated'], 'one, two')
    assert.equal(headers['x-powered-by'], 'Express')
  })

  // Scenario: the package `compression` gives a listener for the response's 'drain' to a stream of its own.
  test('a middleware whose own stream tells of the drain', { timeout }, async t => {
    const listener = createRequestListener(handler, quiet(t))
    const { port } = await serve(t, (req, res) => {
      const { on, write, end } = res
      const through = new PassThrough({ highWaterMark: 1024 })
      through.on('data', chunk => { if (!write.call(res, chunk)) through.pause() }).on('end', () => end.call(res))
      on.call(res, 'drain', () => through.resume())
      res.on = (type, taker) => type === 'drain' ? through.on(type, taker) : on.call(res, type, taker)
      res.write = chunk => through.write(chunk)
      res.end = chunk => through.end(chunk)
      listener(req, res)
    })
    assert.equal((await request(port, { path: '/download?through=32' })).body.length, 32 * 65536)
  })

  test('a middleware that holds back what it is not told to flush is told when nothing more is ready', { timeout }, async t => {
    const listener = createRequestListener(handler, quiet(t))
    const { port } = await serve(t, (req, res) => {
      const { write } = res
      const held = []
      res.write = chunk => held.push(chunk) > 0
      res.flush = () => { for (const chunk of held.splice(0)) write.call(res, chunk) }
      listener(req, res)
    })
    const req = http.get({ port, host: '127.0.0.1', path: '/first-chunk?held', agent: false })
    const [res] = await once(req, 'response')
    const [chunk] = await once(res, 'data')
    assert.equal(String(chunk), 'data: first\n\n')
    req.destroy()
    assert.equal(await json(port, { path: '/wait?gone:held' }), 'gone:held')
  })

  test('scheme and client follow the `trust proxy` setting', { timeout }, async t => {
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '192.0.2.7' }
    for (const trusted of [true, false]) {
      const app = express()
      app.set('trust proxy', trusted)
      app.use(createRequestListener(handler))
      const { port } = await serve(t, app)
      const scope = await json(port, { path: '/scope', headers })
      assert.equal(scope.scheme, trusted ? 'https' : 'http')
      assert.equal(scope.client[0], trusted ? '192.0.2.7' : '127.0.0.1')
    }
  })

  test('scheme and client are what was set on the request before, without Express too; the headers alone are not read', { timeout }, async t => {
    const listener = createRequestListener(handler)
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.9, 192.0.2.7' }
    const ask = async (listener, headers) => {
      const { port } = await serve(t, listener)
      const { scheme, client } = await json(port, { path: '/scope', headers })
      return [scheme, client[0]]
    }
    const trusting = (req, res) => {
      req.protocol = req.headers['x-forwarded-proto']
      req.ip = req.headers['x-forwarded-for']?.split(',').at(-1).trim()
      listener(req, res)
    }
    assert.deepEqual(await ask(listener, headers), ['http', '127.0.0.1'])
    assert.deepEqual(await ask(trusting, headers), ['https', '192.0.2.7'])
    assert.deepEqual(await ask(trusting, {}), ['http', '127.0.0.1'])
  })

  test('a body that a parser kept as bytes is used', { timeout }, async t => {
    const app = express()
    app.use(express.raw({ type: '*/*' }), createRequestListener(handler))
    const { port } = await serve(t, app)
    const answer = await json(port, { method: 'POST', path: '/digest', body: 'hello', headers: { 'content-type': 'text/plain' } })
    assert.equal(answer.length, 5)
  })

  for (const [what, options, expected] of [
    ['with its coding undone', { body: gzipSync('hello'.repeat(100)), headers: { 'content-encoding': 'gzip' } }, { 'content-length': '500' }],
    ['with no coding', { body: 'hello', headers: { 'content-length': 5 } }, { 'content-length': '5' }],
    ['that was chunked', { body: 'hello', headers: { 'transfer-encoding': 'chunked' } }, { 'content-length': '5' }]
  ]) {
    test(`a body that a parser kept as bytes has its own length: ${what}`, { timeout }, async t => {
      let seen
      const app = express()
      app.use(express.raw({ type: '*/*' }), createRequestListener({
        async handleStream ({ headers }) {
          const { 'content-encoding': coding, 'content-length': length, 'transfer-encoding': transfer } = headers.toJSON()
          seen = { coding, length, transfer }
          return new Response({ status: 204 })
        }
      }, quiet(t)))
      const { port } = await serve(t, app)
      await request(port, { method: 'POST', ...options, headers: { 'content-type': 'text/plain', ...options.headers } })
      assert.deepEqual(seen, { coding: undefined, length: expected['content-length'], transfer: undefined })
    })
  }

  test('a body that a parser consumed is an error that says so', { timeout }, async t => {
    const { reported, onError } = recorder()
    const app = express()
    app.use(express.json(), createRequestListener(handler, { onError }))
    const { port } = await serve(t, app)
    const answer = await request(port, {
      method: 'POST', path: '/digest', body: '{}', headers: { 'content-type': 'application/json' }
    })
    assert.equal(answer.status, 500)
    assert.equal((await reported).code, 'ERR_PYTHON_BODY_CONSUMED')
  })

  test('onError can hand the error to the error middleware', { timeout }, async t => {
    const app = express()
    app.use(createRequestListener(handler, {
      onError (error, _req, _res, { next }) {
        next(error)
        return true
      }
    }))
    app.use((error, _req, res, _next) => res.status(418).send(error.code))
    const { port } = await serve(t, app)
    const { status, body } = await request(port, { path: '/raise' })
    assert.equal(status, 418)
    assert.equal(String(body), 'ERR_PYTHON_EXCEPTION')
  })
})

describe('more than one listener on a request', () => {
  /** A server whose first listener's handler is closed: its onError hands the request on to a second one. */
  async function handedOn (t, handOn) {
    const closed = new PythonHandler({ docroot, appTarget: 'http_listener:app' })
    await closed.close()
    const app = express()
    app.use(createRequestListener(closed, {
      onError (_error, _req, _res, { next }) {
        handOn(next)
        return true
      }
    }), createRequestListener(handler, quiet(t)))
    return { ...await serve(t, app), closed }
  }

  test('onError can hand it on: the first has nothing left in flight', { timeout }, async t => {
    const { port, server, closed } = await handedOn(t, next => next())
    assert.equal((await json(port, { path: '/scope' })).path, '/scope')
    const begin = performance.now()
    await stopGracefully(server, closed, { timeout: 20_000 })
    assert.ok(performance.now() - begin < 10_000)
  })

  // Scenario: parts of the body flowed by while the request went from one to the other.
  test('onError can hand it on at once, and the other gets the whole body', { timeout }, async t => {
    const { port } = await handedOn(t, next => queueMicrotask(next))
    const body = randomBytes(3 << 20)
    const { length, sha256 } = await json(port, { method: 'POST', path: '/digest', body })
    assert.deepEqual([length, sha256], [body.length, createHash('sha256').update(body).digest('hex')])
  })

  for (const [what, end] of [['that has ended', res => res.end('answered')], ['that was destroyed', res => res.destroy()]]) {
    test(`a response ${what} is not the application's`, { timeout }, async t => {
      const listener = createRequestListener({ handleStream: async () => assert.fail('called') }, quiet(t))
      const { port } = await serve(t, (req, res) => {
        end(res)
        listener(req, res)
      })
      const answer = await request(port).catch(error => error)
      assert.equal(String(answer.body ?? answer.code), what === 'that has ended' ? 'answered' : 'ECONNRESET')
    })
  }
})

describe('HTTP/2', () => {
  async function session (t, options) {
    const { port, server } = await listen(t, options, { make: http2.createServer })
    const client = http2.connect(`http://127.0.0.1:${port}`)
    t.after(() => client.destroy())
    server.on('sessionError', () => {})
    return { client, port, server }
  }

  async function get (client, headers, body) {
    const stream = client.request(headers)
    stream.end(body)
    const [head] = await once(stream, 'response')
    return { head, body: await collect(stream) }
  }

  test('pseudo-headers are removed, the authority is the host', { timeout }, async t => {
    const { client, port } = await session(t)
    const { body } = await get(client, {
      ':path': '/scope?q', ':authority': 'right.test', host: 'wrong.test', cookie: ['a=1', 'b=2'], 'x-one': '1'
    })
    const scope = JSON.parse(body)
    assert.equal(scope.http_version, '2')
    assert.equal(scope.path, '/scope')
    assert.equal(scope.query_string, 'q')
    assert.deepEqual(scope.server, ['127.0.0.1', port])
    assert.deepEqual(scope.headers[0], ['host', 'right.test'])
    assert.equal(scope.headers.filter(([name]) => name === 'host').length, 1)
    assert.equal(scope.headers.some(([name]) => name.startsWith(':')), false)
    assert.deepEqual(scope.headers.filter(([name]) => name === 'cookie').flatMap(([, value]) => value.split('; ')), ['a=1', 'b=2'])
  })

  test('bodies go both ways, headers of the connection do not', { timeout }, async t => {
    const { client } = await session(t)
    const bytes = randomBytes(1 << 20)
    const [digest, echo, headers] = await Promise.all([
      get(client, { ':path': '/digest', ':method': 'POST' }, bytes),
      get(client, { ':path': '/echo', ':method': 'POST' }, bytes),
      get(client, { ':path': '/headers' })
    ])
    assert.equal(JSON.parse(digest.body).sha256, sha256(bytes))
    assert.equal(sha256(echo.body), sha256(bytes))
    assert.deepEqual(headers.head['set-cookie'], ['a=1', 'b=2'])
    assert.equal(headers.head['x-repeated'], 'one, two')
    assert.equal(headers.head.connection, undefined)
    assert.equal(headers.head['keep-alive'], undefined)
    assert.equal(headers.head['transfer-encoding'], undefined)
  })

  test('what only a connection of HTTP/1 has is left out', { timeout }, async t => {
    const headers = {
      connection: 'upgrade', 'http2-settings': 'a', 'keep-alive': 'timeout=9', 'proxy-connection': 'close', te: 'gzip', 'transfer-encoding': 'chunked',
      upgrade: 'tea/2', 'x-kept': '1'
    }
    const { port } = await serve(t, createRequestListener({
      handleStream: async () => new Response({ status: 200, headers, body: 'all' })
    }, quiet(t)), { make: http2.createServer })
    const client = http2.connect(`http://127.0.0.1:${port}`)
    t.after(() => client.destroy())
    const { head, body } = await get(client, {})
    assert.equal(String(body), 'all')
    assert.deepEqual(Object.keys(head).sort(), [':status', 'content-length', 'date', 'x-kept'])
  })

  test('a head that Node refuses is a 500 with nothing of it', { timeout }, async t => {
    const { errors, onError } = recorder()
    const headers = [
      ['set-cookie', 'secret=1'], ['x-both', 'application'], ['cache-control', 'public'], ['content-type', 'a/b'], ['content-type', 'c/d']
    ]
    const listener = createRequestListener({
      handleStream: async () => new Response({ status: 201, headers, body: 'all' })
    }, { onError, exposeErrors: false })
    const { port } = await serve(t, (req, res) => {
      res.setHeader('set-cookie', ['session=1'])
      res.setHeader('x-both', 'middleware')
      listener(req, res)
    }, { make: http2.createServer })
    const client = http2.connect(`http://127.0.0.1:${port}`)
    t.after(() => client.destroy())
    const { head, body } = await get(client, {})
    assert.equal(String(body), 'Internal Server Error\n')
    assert.deepEqual([head[':status'], head['set-cookie'], head['x-both'], head['cache-control'], head['content-type']],
      [500, ['session=1'], 'middleware', undefined, 'text/plain; charset=utf-8'])
    assert.deepEqual(errors.map(error => error.code), ['ERR_HTTP2_HEADER_SINGLE_VALUE'])
  })

  test('a body that is refused ends with the answer, and a reset without an error', { timeout }, async t => {
    const small = new PythonHandler({ docroot, appTarget: 'http_listener:app', maxBodySize: 1000 })
    const { port } = await serve(t, createRequestListener(small, silent), { make: http2.createServer })
    const client = http2.connect(`http://127.0.0.1:${port}`)
    t.after(() => client.destroy())
    for (const headers of [{}, { 'content-length': '1001' }]) {
      const stream = client.request({ ':method': 'POST', ':path': '/digest', ...headers })
      stream.write(Buffer.alloc(1001))
      const [head] = await once(stream, 'response')
      const closed = once(stream, 'close')
      assert.match(String(await collect(stream)), /maxBodySize/)
      await closed
      assert.deepEqual([head[':status'], stream.rstCode], [413, http2.constants.NGHTTP2_NO_ERROR])
    }
  })

  test('HEAD, 204 and 205 end without a body', { timeout }, async t => {
    const { client } = await session(t)
    assert.equal((await get(client, { ':path': '/status?200=2', ':method': 'HEAD' })).body.length, 0)
    const { head, body } = await get(client, { ':path': '/status?204=2' })
    assert.equal(head[':status'], 204)
    assert.equal(body.length, 0)
    const reset = await get(client, { ':path': '/status?205=2' })
    assert.deepEqual([reset.head[':status'], reset.head['content-length'], reset.body.length], [205, '0', 0])
  })

  for (const method of ['GET', 'HEAD']) {
    test(`a cancelled stream tells the application, others go on: ${method}`, { timeout }, async t => {
      const { client } = await session(t, quiet(t))
      const stream = client.request({ ':path': `/hang?h2-${method}`, ':method': method })
      stream.on('error', () => {})
      assert.equal(JSON.parse((await get(client, { ':path': `/wait?started:h2-${method}` })).body), `started:h2-${method}`)
      stream.close(http2.constants.NGHTTP2_CANCEL)
      assert.equal(JSON.parse((await get(client, { ':path': `/wait?gone:h2-${method}` })).body), `gone:h2-${method}`)
    })
  }

  test('a stream cancelled in the middle of its body tells the application', { timeout }, async t => {
    const { client } = await session(t, quiet(t))
    const stream = client.request({ ':path': '/hang?h2-upload', ':method': 'POST' })
    stream.on('error', () => {})
    stream.write('half of it')
    assert.equal(JSON.parse((await get(client, { ':path': '/wait?started:h2-upload' })).body), 'started:h2-upload')
    stream.close(http2.constants.NGHTTP2_CANCEL)
    assert.equal(JSON.parse((await get(client, { ':path': '/wait?gone:h2-upload' })).body), 'gone:h2-upload')
  })

  // Scenario: of a stream that waits for its client's window, Node 20 to 24 emit no 'close' when it is reset with NO_ERROR.
  for (const [what, answer] of [
    ['streamed', () => ({ status: 200, headers: new Headers(), complete: false, trailers: null, next: async () => Buffer.alloc(65536) })],
    ['whole', () => new Response({ status: 200, body: Buffer.alloc(1 << 20) })]
  ]) {
    test(`a stream whose client leaves with NO_ERROR, and takes nothing, is given up: a ${what} body`, { timeout }, async t => {
      let told
      const left = new Promise(resolve => { told = resolve })
      const { errors, onError } = recorder()
      const listener = createRequestListener({
        async handleStream (_request, { signal }) {
          signal.addEventListener('abort', told)
          return answer()
        }
      }, { onError })
      let carrier
      const { port } = await serve(t, (req, res) => {
        carrier = res.stream
        listener(req, res)
      }, { make: http2.createServer })
      const client = http2.connect(`http://127.0.0.1:${port}`)
      t.after(() => client.destroy())
      const stream = client.request()
      await once(stream, 'response')
      while (!carrier.writableNeedDrain) await new Promise(setImmediate)
      const closed = once(carrier, 'close')
      stream.close(http2.constants.NGHTTP2_NO_ERROR)
      await left
      await closed
      assert.deepEqual(errors, [])
    })
  }

  test('with a checkContinue listener, the client is asked for its body once', { timeout }, async t => {
    const { client, server } = await session(t, quiet(t))
    server.on('checkContinue', server.listeners('request')[0])
    const stream = client.request({ ':path': '/digest', ':method': 'POST', expect: '100-continue' })
    let asked = 0
    stream.on('continue', () => { asked++ })
    await once(stream, 'continue')
    stream.end('hello')
    assert.equal(JSON.parse(await collect(stream)).length, 5)
    assert.equal(asked, 1)
  })

  // Scenario: the client waited to be asked for a body that nobody wanted, and its stream stayed open.
  test('with a checkContinue listener, a stream ends where nobody asks for its body', { timeout }, async t => {
    const scripts = new PythonHandler({ docroot, appTarget: 'script:app' })
    t.after(() => scripts.close())
    const { client, server } = await session(t, quiet(t))
    server.on('checkContinue', createRequestListener(scripts, quiet(t)))
    const stream = client.request({ ':path': script(start({ status: 403 }), body('refused')), ':method': 'POST', expect: '100-continue' })
    const closed = once(stream, 'close')
    stream.on('continue', () => assert.fail('asked'))
    assert.equal(String(await collect(stream)), 'refused')
    await closed
    assert.equal(stream.rstCode, http2.constants.NGHTTP2_NO_ERROR)
  })

  test('an upload whose connection is lost fails for the handler, it does not end', { timeout }, async t => {
    let rest
    let waiting
    const reading = new Promise(resolve => { waiting = resolve })
    const { port } = await serve(t, createRequestListener({
      async handleStream ({ body }, { signal }) {
        const chunks = body[Symbol.asyncIterator]()
        await chunks.next()
        rest = chunks.next()
        waiting()
        await once(signal, 'abort')
      }
    }), { make: http2.createServer })
    const client = http2.connect(`http://127.0.0.1:${port}`)
    client.on('error', () => {})
    const stream = client.request({ ':method': 'POST' })
    stream.on('error', () => {})
    stream.write('half of it')
    await reading
    // Not stream.close(): Node's client would end the body before it resets the stream.
    client.destroy()
    await assert.rejects(rest, { code: 'ERR_PYTHON_CLIENT_DISCONNECTED' })
  })

  test('a failure after the head resets the stream alone', { timeout }, async t => {
    const { client } = await session(t, silent)
    const stream = client.request({ ':path': '/raise-later?r4' })
    const body = assert.rejects(collect(stream), { code: 'ERR_HTTP2_STREAM_ERROR' })
    await once(stream, 'response')
    await get(client, { ':path': '/set?r4' })
    await body
    assert.equal((await get(client, { ':path': '/ignore' })).head[':status'], 200)
  })
})

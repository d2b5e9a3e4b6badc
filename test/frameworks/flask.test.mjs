// Flask through `interface: 'wsgi'`: apps/flask_app.py.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { curl, docroot, multipart, serve, throughEach, timeout } from './faces.mjs'

const service = await serve('flask_app:app', { interface: 'wsgi' })
const mounted = await serve('flask_app:app', { interface: 'wsgi', rootPath: '/api' })
const { handler, host, origin, errors } = service

const sha256 = bytes => createHash('sha256').update(bytes).digest('hex')

throughEach(service, ({ name: face, request }) => {
  test('path, query, cookies, repeated headers, and a thread of its own', { timeout }, async () => {
    const { address, url, many, ...seen } = (await request('/scope/a%2Fb/%C3%A4?q=1&q=%2B', {
      headers: { cookie: 'a=1', 'x-many': ['one', 'two'] }
    })).json
    assert.deepEqual(seen, { path: 'a/b/ä', args: ['1', '+'], cookies: { a: '1' }, scheme: 'http', main: false })
    assert.equal(decodeURI(url), `${origin}/scope/a/b/ä?q=1&q=%2B`)
    assert.equal(many.replaceAll(' ', ''), 'one,two')
    assert.equal(address, face === 'createRequestListener' ? '127.0.0.1' : null)
  })

  test('JSON', { timeout }, async () => {
    const answer = await request('/json', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"tea": ["grün"]}' })
    assert.equal(answer.status, 200, answer.text)
    assert.deepEqual(answer.json, { seen: { tea: ['grün'] } })
  })

  test('a form, and one with a file', { timeout }, async () => {
    const plain = await request('/form', {
      method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'title=Gr%C3%BCner+Tee'
    })
    assert.equal(plain.status, 200, plain.text)
    assert.equal(plain.json.title, 'Grüner Tee')
    const content = Buffer.alloc(1024 * 1024, 'tea\r\n--')
    const file = { name: 'leaves.bin', type: 'application/x-tea', content }
    const answer = await request('/form', { method: 'POST', ...await multipart({ title: 'Grüner Tee', file }) })
    assert.deepEqual(answer.json, { title: 'Grüner Tee', name: 'leaves.bin', sha256: sha256(content) })
  })

  test('a body of 2 MiB has its length', { timeout }, async () => {
    const body = Buffer.alloc(2 * 1024 * 1024, 'oolong')
    assert.deepEqual((await request('/raw', { method: 'POST', body })).json, { length: body.length, sha256: sha256(body) })
  })

  test('a session in a signed cookie', { timeout }, async () => {
    const first = await request('/count')
    const cookie = first.header('set-cookie').split(';')[0]
    assert.deepEqual([first.json, (await request('/count', { headers: { cookie } })).json], [{ count: 1 }, { count: 2 }])
  })

  test('a streamed response with its request, and one of 2 MiB', { timeout }, async () => {
    const answer = await request('/stream?of=tea')
    assert.equal(answer.text, 'row 0 of tea\nrow 1 of tea\nrow 2 of tea\n')
    assert.equal(answer.header('content-type'), 'text/csv; charset=utf-8')
    const large = await request('/stream/large')
    const expected = Buffer.concat(Array.from({ length: 256 }, (_, index) => Buffer.alloc(8192, index)))
    assert.equal(sha256(large.body), sha256(expected))
  })

  test('send_file, whole and in part', { timeout }, async () => {
    const expected = readFileSync(join(docroot, 'flask_app.py'))
    assert.ok((await request('/file')).body.equals(expected))
    const part = await request('/file', { headers: { range: 'bytes=3-9' } })
    assert.deepEqual([part.status, part.text], [206, expected.subarray(3, 10).toString()])
  })

  test('cookies stay header fields of their own', { timeout }, async () => {
    assert.deepEqual((await request('/cookies')).all('set-cookie'), ['a=1; Path=/', 'b=2; Path=/'])
  })

  test('a redirect, abort, an exception, a missing route', { timeout }, async () => {
    const answer = await request('/redirect')
    assert.deepEqual([answer.status, answer.header('location')], [302, '/count'])
    for (const [path, status] of [['/teapot', 418], ['/raise', 500], ['/nowhere', 404]]) {
      assert.equal((await request(path)).status, status)
    }
  })

  test('HEAD has no body', { timeout }, async () => {
    const answer = await request('/count', { method: 'HEAD' })
    assert.deepEqual([answer.status, answer.body.length], [200, 0])
  })

  test('requests run beside each other', { timeout }, async () => {
    const answers = await Promise.all([1, 2, 3].map(() => request('/together')))
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200])
  })

  test('url_for at the root', { timeout }, async () => {
    assert.deepEqual((await request('/where')).json, { path: '/where', root: '', where: '/where', external: `${origin}/where` })
  })
})

describe('under a rootPath', () => {
  throughEach(mounted, ({ request }) => {
    test('SCRIPT_NAME is the prefix, and url_for holds it', { timeout }, async () => {
      assert.deepEqual((await request('/api/where')).json, {
        path: '/where', root: '/api', where: '/api/where', external: `${mounted.origin}/api/where`
      })
    })
  })
})

test('an application that raises before start_response rejects', { timeout }, async () => {
  const broken = await serve('flask_app:broken', { interface: 'wsgi' })
  await assert.rejects(broken.handler.handleRequest({ url: '/' }), { code: 'ERR_PYTHON_EXCEPTION', pythonType: 'RuntimeError' })
})

test('an exception shows its own traceback to the handler of an ASGI interface', { timeout }, async () => {
  const unwrapped = await serve('flask_app:app', { interface: 'asgi3', lifespan: 'off' })
  await assert.rejects(unwrapped.handler.handleRequest({ url: '/count' }), { code: 'ERR_PYTHON_EXCEPTION', pythonType: 'TypeError' })
})

test('a WebSocket is refused', { timeout }, async () => {
  const socket = handler.connect(`ws://${host}/count`)
  await assert.rejects(socket[Symbol.asyncIterator]().next(), { code: 'ERR_PYTHON_WEBSOCKET_REFUSED', status: 403 })
})

test('a form in a Request of fetch', { timeout }, async () => {
  const body = new URLSearchParams({ title: 'Grüner Tee' })
  const response = await handler.fetch(new Request(`${origin}/form`, { method: 'POST', body }))
  assert.equal((await response.json()).title, 'Grüner Tee')
})

test('a body of unknown length is read to its end', { timeout }, async () => {
  const parts = () => Readable.from([Buffer.from('green '), Buffer.from('tea')])
  const answer = await handler.handleRequest({ method: 'POST', url: '/raw', body: parts() })
  assert.deepEqual(JSON.parse(answer.body), { length: null, sha256: sha256('green tea') })
  const listened = await curl([`${origin}/raw`, '--header', 'transfer-encoding: chunked', '--data-binary', '@-'], { input: 'green tea' })
  assert.deepEqual(JSON.parse(listened), { length: null, sha256: sha256('green tea') })
  const none = await handler.handleRequest({ method: 'POST', url: '/raw' })
  assert.deepEqual(JSON.parse(none.body), { length: null, sha256: sha256('') })
})

test('curl posts a file, and a body in chunks', { timeout }, async () => {
  const answer = JSON.parse(await curl([`${origin}/form`, '--form', 'title=tea', '--form', 'file=@-;filename=a.txt'], { input: 'leaves' }))
  assert.deepEqual(answer, { title: 'tea', name: 'a.txt', sha256: sha256('leaves') })
})

test('nothing of this was an error to the listener', () => {
  assert.deepEqual(errors, [])
})

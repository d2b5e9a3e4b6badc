// Django: apps/django_app.py, with a database of its own in a folder that is gone afterwards.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { curl, docroot, multipart, needsPython, python, readUntil, runClient, serve, throughEach, timeout } from './faces.mjs'

const folder = mkdtempSync(join(tmpdir(), 'python-node-django-'))
const blend = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251))
mkdirSync(join(folder, 'static'))
writeFileSync(join(folder, 'static', 'blend.bin'), blend)
writeFileSync(join(folder, 'static', 'tea.css'), 'body { color: green }\n')
copyFileSync(join(docroot, 'django_app.py'), join(folder, 'django_app.py'))
await runClient(python, [join(folder, 'django_app.py'), 'migrate'])

// As DJANGO_SETTINGS_MODULE is: set before the interpreter starts.
process.env.DJANGO_TEA = 'grün'
const service = await serve('django_app:app', { docroot: folder })
const mounted = await serve('django_app:app', { docroot: folder, rootPath: '/shop' })
const { handler, origin, host, errors } = service

after(() => rmSync(folder, { recursive: true, force: true }))

async function noted (name) {
  return JSON.parse((await handler.handleRequest({ url: `/noted/${encodeURI(name)}` })).body)
}

const sha256 = bytes => createHash('sha256').update(bytes).digest('hex')

throughEach(service, ({ name: face, request, open }) => {
  test('a sync view runs in a thread, an async view on the loop', { timeout }, async () => {
    assert.deepEqual((await request('/sync?q=1&q=gr%C3%BCn')).json, { main: false, q: ['1', 'grün'] })
    assert.deepEqual((await request('/async?q=1&q=gr%C3%BCn')).json, { main: true, q: ['1', 'grün'] })
  })

  for (const kind of ['sync', 'async']) {
    test(`a session in the database, from a view that is ${kind}`, { timeout }, async () => {
      const first = await request(`/count/${kind}`)
      assert.deepEqual(first.json, { count: 1 })
      const cookie = first.header('set-cookie').split(';')[0]
      assert.match(cookie, /^sessionid=/)
      assert.deepEqual((await request(`/count/${kind}`, { headers: { cookie } })).json, { count: 2 })
      assert.deepEqual((await request(`/count/${kind}`)).json, { count: 1 })
    })
  }

  test('sessions stay apart when many are in flight', { timeout }, async () => {
    const cookies = []
    for (let client = 0; client < 5; client++) cookies.push((await request('/count/sync')).header('set-cookie').split(';')[0])
    for (const expected of [2, 3]) {
      const answers = await Promise.all(cookies.map(cookie => request('/count/sync', { headers: { cookie } })))
      assert.deepEqual(answers.map(({ json }) => json.count), cookies.map(() => expected))
    }
  })

  test('the async ORM and a transaction', { timeout }, async () => {
    assert.deepEqual((await request(`/users?name=${face}`)).json, { names: ['Ann'] })
  })

  test('a StreamingHttpResponse of an async and of a sync iterator', { timeout }, async () => {
    for (const path of ['/stream', '/stream/sync']) assert.equal((await request(path)).text, 'row 0\nrow 1\nrow 2\n')
  })

  // Before version 5, nothing closes the iterator but a garbage collection.
  test('the iterator of a StreamingHttpResponse ends when its client leaves', { timeout, skip: needsPython('Django 5', 10) }, async () => {
    const { body } = await open(`/stream/endless/${face}`)
    const reader = body[Symbol.asyncIterator]()
    await readUntil(reader, 'tick\ntick\n')
    await reader.return()
    assert.equal(await noted(`endless ${face}`), 'ended')
  })

  test('CSRF: a form with and without its token', { timeout }, async () => {
    const first = await request('/token')
    const { token } = first.json
    const cookie = first.header('set-cookie').split(';')[0]
    const headers = { 'content-type': 'application/x-www-form-urlencoded', cookie }
    const answer = await request('/form', { method: 'POST', headers, body: `tea=gr%C3%BCn&csrfmiddlewaretoken=${token}` })
    assert.deepEqual([answer.status, answer.json.tea], [200, 'grün'])
    assert.equal((await request('/form', { method: 'POST', headers, body: 'tea=green' })).status, 403)
  })

  test('an upload, in memory and spooled to a file', { timeout }, async () => {
    for (const [size, spooled] of [[100, false], [3 * 1024 * 1024, true]]) {
      const content = Buffer.alloc(size, 'tea\r\n--')
      const answer = await request('/upload', {
        method: 'POST',
        ...await multipart({ title: 'Grüner Tee', file: { name: 'leaves.bin', type: 'application/x-tea', content } })
      })
      assert.equal(answer.status, 200, /exception_value">([^<]*)/.exec(answer.text)?.[1])
      assert.deepEqual(answer.json, { title: 'Grüner Tee', name: 'leaves.bin', size, sha256: sha256(content), spooled })
    }
  })

  test('request.body of 2 MiB', { timeout }, async () => {
    const body = Buffer.alloc(2 * 1024 * 1024, 'oolong')
    assert.equal((await request('/raw', { method: 'POST', body })).text, sha256(body))
  })

  test('a FileResponse', { timeout }, async () => {
    const answer = await request('/download')
    assert.ok(answer.body.equals(blend))
    assert.equal(answer.header('content-length'), String(blend.length))
    assert.equal(answer.header('content-disposition'), 'attachment; filename="blend.bin"')
  })

  test('StaticFiles: a file, one not modified, one that is missing', { timeout }, async () => {
    const style = await request('/static/tea.css')
    assert.deepEqual([style.status, style.text, style.header('content-type')], [200, 'body { color: green }\n', 'text/css'])
    assert.ok((await request('/static/blend.bin')).body.equals(blend))
    const fresh = await request('/static/tea.css', { headers: { 'if-modified-since': style.header('last-modified') } })
    assert.deepEqual([fresh.status, fresh.body.length], [304, 0])
    assert.equal((await request('/static/missing.css')).status, 404)
  })

  test('META: headers, lengths and cookies under their names', { timeout }, async () => {
    const answer = await request('/meta', { headers: { 'x-tea': 'gr\u00fcn', 'content-type': 'text/x' } })
    assert.deepEqual([answer.json.HTTP_X_TEA, answer.json.CONTENT_TYPE], ['grün', 'text/x'])
  })

  test('path, absolute uri and reverse at the root', { timeout }, async () => {
    const { address, ...seen } = (await request('/where?q=1')).json
    assert.deepEqual(seen, {
      path: '/where', info: '/where', uri: `${origin}/where?q=1`, where: '/where', secure: false, script: ''
    })
    assert.equal(address, face === 'createRequestListener' ? '127.0.0.1' : null)
  })

  test('CommonMiddleware redirects to the slash', { timeout }, async () => {
    const answer = await request('/slash?q=1')
    assert.deepEqual([answer.status, answer.header('location')], [301, '/slash/?q=1'])
  })

  test('the debug page of an exception is a 500 with its text', { timeout }, async () => {
    const answer = await request('/raise')
    assert.equal(answer.status, 500)
    assert.match(answer.text, /out of tea/)
  })

  test('HEAD has the head of GET and no body', { timeout }, async () => {
    const answer = await request('/download', { method: 'HEAD' })
    assert.deepEqual([answer.status, answer.body.length, answer.header('content-length')], [200, 0, String(blend.length)])
  })
})

describe('under a rootPath', () => {
  throughEach(mounted, ({ request }) => {
    test('path and reverse hold the prefix, path_info does not', { timeout }, async () => {
      const seen = (await request('/shop/where')).json
      delete seen.address
      assert.deepEqual(seen, {
        path: '/shop/where',
        info: '/where',
        uri: `${mounted.origin}/shop/where`,
        where: '/shop/where',
        secure: false,
        script: '/shop'
      })
    })
  })
})

// Django reads a form only where the request says its length.
test('an upload in a Request of fetch', { timeout }, async () => {
  const form = new FormData()
  form.set('title', 'Grüner Tee')
  form.set('file', new File(['leaves'], 'leaves.bin', { type: 'application/x-tea' }))
  const response = await handler.fetch(new Request(`${origin}/upload`, { method: 'POST', body: form }))
  assert.deepEqual(await response.json(), { title: 'Grüner Tee', name: 'leaves.bin', size: 6, sha256: sha256('leaves'), spooled: false })
})

for (const [name, ask] of [
  ['handleRequest', (path, signal) => handler.handleRequest({ url: path }, { signal })],
  ['fetch', (path, signal) => handler.fetch(path, { signal })],
  ['createRequestListener', (path, signal) => fetch(origin + path, { signal })]
]) {
  test(`an async view is cancelled when its client leaves, through ${name}`, { timeout }, async () => {
    const controller = new AbortController()
    const response = ask(`/slow/${name}`, controller.signal)
    await noted(`slow ${name} began`)
    controller.abort()
    await assert.rejects(response, { name: 'AbortError' })
    assert.equal(await noted(`slow ${name}`), 'cancelled')
  })
}

test('https and forwarded addresses come from the request', { timeout }, async () => {
  const response = await handler.handleRequest({
    url: 'https://tea.example/where',
    socket: { remoteAddress: '203.0.113.7', remotePort: 4000, localAddress: '127.0.0.1', localPort: 443, encrypted: true }
  })
  const seen = JSON.parse(response.body)
  assert.deepEqual([seen.secure, seen.address, seen.uri], [true, '203.0.113.7', 'https://tea.example/where'])
})

test('os.environ holds the environment of the process', { timeout }, async () => {
  const response = await handler.handleRequest({ url: '/environment?DJANGO_TEA&PATH' })
  assert.deepEqual(JSON.parse(response.body), { DJANGO_TEA: 'grün', PATH: process.env.PATH })
})

test('a WebSocket is refused: Django has none', { timeout }, async () => {
  const socket = handler.connect(`ws://${host}/sync`)
  await assert.rejects(socket[Symbol.asyncIterator]().next(), { code: 'ERR_PYTHON_EXCEPTION', pythonType: 'ValueError' })
})

test('lifespan "on" is refused with Django\'s own words', { timeout }, async () => {
  const required = await serve('django_app:app', { docroot: folder, lifespan: 'on' })
  await assert.rejects(required.handler.ready(), ({ code, message }) => {
    assert.equal(code, 'ERR_PYTHON_STARTUP')
    assert.match(message, /Django can only handle ASGI\/HTTP connections, not lifespan/)
    return true
  })
})

test('curl keeps its session in a cookie jar', { timeout }, async () => {
  const jar = join(folder, 'cookies')
  const counts = []
  for (let visit = 0; visit < 3; visit++) counts.push(await curl(['--cookie', jar, '--cookie-jar', jar, `${origin}/count/sync`]))
  assert.deepEqual(counts.map(text => JSON.parse(text).count), [1, 2, 3])
})

test('nothing of this was an error to the listener', () => {
  assert.deepEqual(errors.filter(({ code }) => code !== 'ERR_PYTHON_CLIENT_DISCONNECTED'), [])
})

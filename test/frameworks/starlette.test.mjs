// Starlette: apps/starlette_app.py.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { PythonHandler, Request } from '../../index.js'
import { curl, docroot, readUntil, serve, throughEach, timeout } from './faces.mjs'

const service = await serve('starlette_app:app', { state: { region: 'Assam', user: 'nobody' } })
const { handler, host, origin, errors } = service

async function noted (name) {
  return JSON.parse((await handler.handleRequest({ url: `/noted/${name}` })).body)
}

const blend = Buffer.concat(Array.from({ length: 1024 }, () => Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))))

/** Each face with a signal. */
const abortable = {
  handleRequest: (url, options) => handler.handleRequest({ url }, options),
  fetch: (url, options) => handler.fetch(url, options),
  createRequestListener: (url, options) => fetch(origin + url, options)
}

throughEach(service, ({ name: face, request }) => {
  test('url, query, cookies, repeated headers and an encoded path', { timeout }, async () => {
    const answer = await request('/scope/a%2Fb/%C3%A4?q=1&q=%2B&e=', {
      headers: { cookie: 'a=1; b="2"', 'x-many': ['one', 'two'] }
    })
    const { client, headers, url, ...seen } = answer.json
    // Some versions encode `scope["path"]` again, some do not.
    assert.equal(decodeURI(url), `${origin}/scope/a/b/ä?q=1&q=%2B&e=`)
    assert.deepEqual(seen, {
      query: [['q', '1'], ['q', '+'], ['e', '']],
      cookies: { a: '1', b: '2' },
      path: 'a/b/ä'
    })
    // WHATWG Headers joins what is repeated.
    assert.deepEqual(headers.join(',').replaceAll(' ', ''), 'one,two')
    if (face === 'createRequestListener') assert.equal(client[0], '127.0.0.1')
    else assert.equal(client, null)
  })

  test('a urlencoded form', { timeout }, async () => {
    const answer = await request('/form', {
      method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'a=1&b=gr%C3%BCn+tee'
    })
    assert.deepEqual(answer.json, { a: '1', b: 'grün tee' })
  })

  test('a session in a signed cookie', { timeout }, async () => {
    const first = await request('/session')
    assert.deepEqual(first.json, { count: 1 })
    const cookie = first.header('set-cookie').split(';')[0]
    assert.deepEqual((await request('/session', { headers: { cookie } })).json, { count: 2 })
    assert.deepEqual((await request('/session', { headers: { cookie: `${cookie}x` } })).json, { count: 1 })
  })

  test('request.state holds the lifespan\'s and the handler\'s state', { timeout }, async () => {
    assert.deepEqual((await request('/state')).json, { database: 'open', user: 'nobody', region: 'Assam' })
  })

  test('an HTTPException with headers, and a handler of 404', { timeout }, async () => {
    const teapot = await request('/teapot')
    assert.deepEqual([teapot.status, teapot.text, teapot.header('x-handle')], [418, 'short and stout', 'here'])
    assert.deepEqual((await request('/nowhere')).json, { lost: '/nowhere' })
  })

  test('redirects: to the slash, and with a status and a fragment', { timeout }, async () => {
    for (const [path, status, location] of [
      ['/slash?q=1', 307, `${origin}/slash/?q=1`],
      ['/redirect', 303, '/slash/?a=1#tea']
    ]) {
      const answer = await request(path)
      assert.deepEqual([answer.status, answer.header('location')], [status, location])
    }
  })

  test('204 has no body and no length; HEAD has the length of GET', { timeout }, async () => {
    const empty = await request('/empty')
    assert.deepEqual([empty.status, empty.body.length, empty.header('content-length')], [204, 0, null])
    const head = await request('/blend', { method: 'HEAD' })
    assert.deepEqual([head.status, head.body.length, head.header('content-length')], [200, 0, String(blend.length)])
  })

  test('a file, its ranges and its validators', { timeout }, async () => {
    const whole = await request('/blend')
    assert.ok(whole.body.equals(blend))
    assert.equal(whole.header('content-disposition'), 'attachment; filename="blend.bin"')
    const part = await request('/blend', { headers: { range: 'bytes=250-300' } })
    assert.deepEqual([part.status, part.header('content-range')], [206, `bytes 250-300/${blend.length}`])
    assert.ok(part.body.equals(blend.subarray(250, 301)))
    const beyond = await request('/blend', { headers: { range: 'bytes=99999999-' } })
    assert.equal(beyond.status, 416)
    const fresh = await request('/static/blend.bin', { headers: { 'if-none-match': (await request('/static/blend.bin')).header('etag') } })
    assert.deepEqual([fresh.status, fresh.body.length], [304, 0])
  })

  test('StaticFiles: an index page, what is missing, and no way out of the folder', { timeout }, async () => {
    const page = await request('/static/')
    assert.deepEqual([page.text, page.header('content-type')], ['<h1>tea</h1>', 'text/html; charset=utf-8'])
    assert.equal((await request('/static/missing.txt')).status, 404)
    assert.equal((await request('/static/%2e%2e/%2e%2e/etc/passwd')).status, 404)
  })

  test('GZipMiddleware', { timeout }, async () => {
    const answer = await request('/zipped', { headers: { 'accept-encoding': 'gzip' } })
    assert.equal(answer.header('content-encoding'), 'gzip')
    assert.equal(gunzipSync(answer.body).toString(), 'tea '.repeat(1000))
    assert.equal((await request('/zipped', { headers: { 'accept-encoding': 'identity' } })).text, 'tea '.repeat(1000))
  })

  test('request.is_disconnected() when the client leaves', { timeout }, async () => {
    const name = `${face}-polling`
    const controller = new AbortController()
    const response = abortable[face](`/is-disconnected/${name}`, { signal: controller.signal })
    await noted(`${name}%20began`)
    controller.abort()
    await assert.rejects(response, { name: 'AbortError' })
    assert.equal(await noted(name), true)
  })
})

test('a Host route', { timeout }, async () => {
  const answer = await handler.handleRequest({ url: 'https://green.tea.example/' })
  assert.equal(answer.body.toString(), 'green')
})

test('state of a request comes before that of the handler', { timeout }, async () => {
  const answer = await handler.handleRequest(new Request({ url: '/state', state: { user: { name: 'Ann' } } }))
  assert.deepEqual(JSON.parse(answer.body), { database: 'open', user: { name: 'Ann' }, region: 'Assam' })
})

test('the response grows while the request is sent', { timeout }, async () => {
  const request = new Request({ method: 'POST', url: '/lengths' })
  await request.write(Buffer.alloc(1))
  // GZipMiddleware holds the head back until the first part of the body.
  const response = await handler.handleStream(request)
  assert.equal(String(await response.next()), '1\n')
  for (const length of [300, 20_000]) {
    await request.write(Buffer.alloc(length))
    assert.equal(String(await response.next()), `${length}\n`)
  }
  await request.end()
  assert.equal(await response.next(), null)
})

test('the response grows while the request is sent, over HTTP', { timeout }, async () => {
  const lengths = [1, 300, 20_000]
  let next
  const ready = new Promise(resolve => { next = resolve })
  async function * parts () {
    yield Buffer.alloc(lengths[0])
    await ready
    for (const length of lengths.slice(1)) yield Buffer.alloc(length)
  }
  const response = await fetch(`${origin}/lengths`, {
    method: 'POST', body: parts(), duplex: 'half', headers: { 'accept-encoding': 'identity' }
  })
  const reader = response.body[Symbol.asyncIterator]()
  assert.equal(await readUntil(reader, '\n'), '1\n')
  next()
  let total = 0
  for (let part = await reader.next(); !part.done; part = await reader.next()) {
    for (const line of Buffer.from(part.value).toString().trim().split('\n')) total += Number(line)
  }
  assert.equal(total, 20_300)
})

test('an upload that breaks off raises ClientDisconnect', { timeout }, async () => {
  const request = new Request({ method: 'POST', url: '/left/upload' })
  const controller = new AbortController()
  const response = handler.handleStream(request, { signal: controller.signal })
  await request.write('half')
  await noted('upload%20began')
  controller.abort()
  await assert.rejects(response, { name: 'AbortError' })
  assert.equal(await noted('upload'), 'disconnected')
})

describe('WebSocketEndpoint', () => {
  test('echoes, and is told the close code', { timeout }, async () => {
    const socket = handler.connect(`ws://${host}/echo?token=tea&name=first`)
    const messages = socket[Symbol.asyncIterator]()
    socket.send('green')
    assert.equal((await messages.next()).value, 'echo green')
    assert.equal(socket.headers.get('x-echo'), 'yes')
    socket.close(4000)
    assert.equal(await noted('echo%20first'), 4000)
  })

  test('a denial response reaches the caller', { timeout }, async () => {
    const response = await handler.handleStream(new Request({ url: `ws://${host}/echo`, websocket: true }))
    assert.deepEqual([response.status, response.headers.get('x-why')], [401, 'token'])
    let text = ''
    for await (const chunk of response) text += chunk
    assert.deepEqual(JSON.parse(text), { error: 'no token' })
  })
})

test('a lifespan that fails rejects requests with its message', { timeout }, async () => {
  const broken = new PythonHandler({ docroot, appTarget: 'starlette_app:failing' })
  await assert.rejects(broken.handleRequest({ url: '/' }), ({ code, message }) => {
    assert.equal(code, 'ERR_PYTHON_STARTUP')
    assert.match(message, /no database/)
    return true
  })
  await assert.rejects(broken.ready(), { code: 'ERR_PYTHON_STARTUP' })
})

test('curl follows the redirect and unpacks gzip', { timeout }, async () => {
  assert.equal(await curl([`${origin}/slash`, '--location']), 'slash')
  assert.equal(await curl([`${origin}/zipped`, '--compressed']), 'tea '.repeat(1000))
})

test('curl resumes a download', { timeout }, async () => {
  const rest = await curl([`${origin}/blend`, '--range', '262100-', '--write-out', '%{http_code} %{size_download}', '--output', '/dev/null'])
  assert.equal(rest, '206 44')
})

test('nothing of this was an error to the listener', () => {
  assert.deepEqual(errors.filter(({ code }) => code !== 'ERR_PYTHON_CLIENT_DISCONNECTED'), [])
})

// Quart: apps/quart_app.py.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { Request } from '../../index.js'
import { curl, multipart, readUntil, serve, throughEach, timeout } from './faces.mjs'

const service = await serve('quart_app:app')
const mounted = await serve('quart_app:app', { rootPath: '/api', lifespan: 'off' })
const { handler, host, origin, errors } = service

async function noted (name) {
  return JSON.parse((await handler.handleRequest({ url: `/noted/${encodeURI(name)}` })).body).noted
}

throughEach(service, ({ name: face, request, open }) => {
  test('path, query, cookies, address, and what before_serving set', { timeout }, async () => {
    const { address, url, ...seen } = (await request('/scope/a%2Fb/%C3%A4?q=1&q=%2B', { headers: { cookie: 'a=1' } })).json
    assert.deepEqual(seen, { path: 'a/b/ä', args: ['1', '+'], cookies: { a: '1' }, database: 'open' })
    assert.equal(decodeURI(url), `${origin}/scope/a/b/ä?q=1&q=%2B`)
    assert.equal(address ?? null, face === 'createRequestListener' ? '127.0.0.1' : address ?? null)
  })

  test('JSON, before_request and after_request', { timeout }, async () => {
    const answer = await request('/json', {
      method: 'POST', headers: { 'content-type': 'application/json', 'x-user': 'ann' }, body: '{"tea": ["grün"]}'
    })
    assert.deepEqual([answer.json, answer.header('x-user')], [{ seen: { tea: ['grün'] } }, 'ann'])
  })

  test('a form with a file, and one beyond MAX_CONTENT_LENGTH', { timeout }, async () => {
    const content = Buffer.alloc(1024 * 1024, 'tea\r\n--')
    const file = { name: 'leaves.bin', type: 'application/x-tea', content }
    const answer = await request('/form', { method: 'POST', ...await multipart({ title: 'Grüner Tee', file }) })
    assert.deepEqual(answer.json, {
      title: 'Grüner Tee', name: 'leaves.bin', sha256: createHash('sha256').update(content).digest('hex')
    })
    const large = await request('/form', {
      method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: `title=${'x'.repeat(9 * 1024 * 1024)}`
    })
    assert.equal(large.status, 413)
  })

  test('a session in a signed cookie', { timeout }, async () => {
    const first = await request('/count')
    const cookie = first.header('set-cookie').split(';')[0]
    assert.deepEqual([first.json, (await request('/count', { headers: { cookie } })).json], [{ count: 1 }, { count: 2 }])
  })

  test('a streamed response, and one whose client leaves', { timeout }, async () => {
    assert.equal((await request('/stream')).text, 'row 0\nrow 1\nrow 2\n')
    const { body } = await open(`/stream/endless/${face}`)
    const reader = body[Symbol.asyncIterator]()
    await readUntil(reader, 'tick\ntick\n')
    await reader.return()
    assert.equal(await noted(`endless ${face}`), 'ended')
  })

  test('the response does not wait for a background task', { timeout }, async () => {
    assert.deepEqual((await request(`/background/${face}`)).json, { accepted: face })
    await request(`/release/${face}`)
    assert.equal(await noted(`work ${face}`), 'done')
  })

  test('a sync view runs with the context of its request', { timeout }, async () => {
    const answers = await Promise.all(['a', 'b', 'c'].map(user => request(`/thread/${user}`, { headers: { 'x-user': user } })))
    assert.deepEqual(answers.map(({ json }) => json), ['a', 'b', 'c'].map(user => ({ name: user, user })))
  })

  test('templates, redirects, blueprints', { timeout }, async () => {
    assert.equal((await request('/template')).text, '/count &lt;grün&gt;')
    const answer = await request('/redirect')
    assert.deepEqual([answer.status, answer.header('location')], [302, '/count'])
    assert.deepEqual((await request('/shop/7')).json, { number: 7, endpoint: 'shop.number' })
  })

  test('abort, an exception and a missing route', { timeout }, async () => {
    for (const [path, status] of [['/teapot', 418], ['/raise', 500], ['/nowhere', 404]]) {
      assert.equal((await request(path)).status, status)
    }
  })

  test('url_for at the root', { timeout }, async () => {
    const seen = (await request('/where')).json
    assert.deepEqual(seen, { path: '/where', root: '', where: '/where', external: `${origin}/where` })
  })
})

describe('under a rootPath', () => {
  throughEach(mounted, ({ request }) => {
    test('url_for holds the prefix, the path does not', { timeout }, async () => {
      const answer = await request('/api/where')
      assert.equal(answer.status, 200, answer.text)
      assert.deepEqual(answer.json, { path: '/where', root: '/api', where: '/api/where', external: `${mounted.origin}/api/where` })
    })
  })
})

test('the response grows while the request is sent', { timeout }, async () => {
  const request = new Request({ method: 'POST', url: '/lengths' })
  const response = await handler.handleStream(request)
  for (const length of [1, 300, 20_000]) {
    await request.write(Buffer.alloc(length))
    assert.equal(String(await response.next()), `${length}\n`)
  }
  await request.end()
  assert.equal(await response.next(), null)
})

describe('WebSocket', () => {
  test('text, bytes, subprotocol, headers; the view is cancelled when its client leaves', { timeout }, async () => {
    const socket = handler.connect(`ws://${host}/echo/ann`, { protocols: ['chat'] })
    const messages = socket[Symbol.asyncIterator]()
    socket.send('green')
    assert.equal((await messages.next()).value, 'GREEN')
    socket.send(Buffer.from([1, 2]))
    assert.deepEqual((await messages.next()).value, Buffer.from([2, 1]))
    assert.deepEqual([socket.protocol, socket.headers.get('x-name')], ['chat', 'ann'])
    socket.close()
    assert.equal(await noted('left ann'), true)
  })

  test('the view closes with a code and a reason', { timeout }, async () => {
    const socket = handler.connect(`ws://${host}/echo/bob`)
    const closed = new Promise(resolve => socket.addEventListener('close', resolve))
    socket.send('bye')
    const { code, reason } = await closed
    assert.deepEqual([code, reason], [4001, 'as you wish'])
  })

  test('abort(401) before the accept is the refusal\'s status', { timeout }, async () => {
    const response = await handler.handleStream(new Request({ url: `ws://${host}/echo/stranger`, websocket: true }))
    assert.equal(response.status, 401)
  })
})

test('curl posts a file', { timeout }, async () => {
  const answer = JSON.parse(await curl([`${origin}/form`, '--form', 'title=tea', '--form', 'file=@-;filename=a.txt'], { input: 'leaves' }))
  assert.deepEqual(answer, { title: 'tea', name: 'a.txt', sha256: createHash('sha256').update('leaves').digest('hex') })
})

test('nothing of this was an error to the listener', () => {
  assert.deepEqual(errors, [])
})

test('after_serving runs when the handler closes', { timeout }, async () => {
  await service.close()
  assert.equal((await mounted.faces[0].request('/api/noted/shutdown')).json.noted, true)
})

// Litestar: apps/litestar_app.py.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { curl, multipart, readUntil, serve, throughEach, timeout } from './faces.mjs'

const service = await serve('litestar_app:app')
const mounted = await serve('litestar_app:app', { rootPath: '/shop', lifespan: 'off' })
const { handler, host, origin, errors } = service

async function noted (name) {
  return JSON.parse((await handler.handleRequest({ url: `/noted/${encodeURI(name)}` })).body).noted
}

throughEach(service, ({ name: face, request, open }) => {
  test('parameters, a body and a dependency that ends after it', { timeout }, async () => {
    const answer = await request('/items/7?q=gr%C3%BCn', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-session': face },
      body: '{"name": "tea", "price": 3.5}'
    })
    assert.equal(answer.status, 201)
    assert.deepEqual(answer.json, { id: 7, name: 'tea', price: 3.5, database: 'open', q: 'grün' })
    assert.equal(await noted(`session ${face}`), 'closed')
  })

  test('a request that fails validation is told where', { timeout }, async () => {
    const answer = await request('/items/7', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name": "tea", "price": "much"}'
    })
    assert.equal(answer.status, 400)
    assert.equal(answer.json.extra[0].key, 'price')
    assert.equal((await request('/items/seven', { method: 'POST' })).status, 404)
  })

  test('the response does not wait for a background task', { timeout }, async () => {
    assert.deepEqual((await request(`/background/${face}`)).json, { accepted: face })
    await request(`/release/${face}`)
    assert.equal(await noted(`work ${face}`), 'done')
  })

  test('a Stream, and one whose client leaves', { timeout }, async () => {
    assert.equal((await request('/stream')).text, 'row 0\nrow 1\nrow 2\n')
    const { body } = await open(`/stream/endless/${face}`)
    const reader = body[Symbol.asyncIterator]()
    await readUntil(reader, 'tick\ntick\n')
    await reader.return()
    assert.equal(await noted(`endless ${face}`), 'ended')
  })

  test('server-sent events', { timeout }, async () => {
    const answer = await request('/events')
    assert.match(answer.header('content-type'), /^text\/event-stream/)
    assert.deepEqual(answer.text.match(/^data: .*$/gm), ['data: green', 'data: black'])
  })

  test('a multipart upload', { timeout }, async () => {
    const content = Buffer.alloc(1024 * 1024, 'tea\r\n--')
    const answer = await request('/upload', {
      method: 'POST',
      ...await multipart({ title: 'Grüner Tee', file: { name: 'leaves.bin', type: 'application/x-tea', content } })
    })
    assert.deepEqual(answer.json, {
      title: 'Grüner Tee', name: 'leaves.bin', size: content.length, sha256: createHash('sha256').update(content).digest('hex')
    })
  })

  test('a session in an encrypted cookie', { timeout }, async () => {
    const first = await request('/session')
    assert.deepEqual(first.json, { count: 1 })
    const cookie = first.header('set-cookie').split(';')[0]
    assert.deepEqual((await request('/session', { headers: { cookie } })).json, { count: 2 })
  })

  test('an HTTPException from a thread, an exception, a missing route', { timeout }, async () => {
    const teapot = await request('/teapot')
    assert.deepEqual([teapot.status, teapot.json.detail, teapot.header('x-handle')], [418, 'short and stout', 'here'])
    assert.deepEqual([(await request('/raise')).status, (await request('/nowhere')).status], [500, 404])
  })

  test('url, base_url and url_for', { timeout }, async () => {
    assert.deepEqual((await request('/where?q=1')).json, {
      url: `${origin}/where?q=1`, base: `${origin}/`, where: `${origin}/where`
    })
  })

  test('a mounted ASGI application', { timeout }, async () => {
    assert.match((await request('/asgi/deep/er')).text, /\/deep\/er\/?$/)
  })
})

describe('under a rootPath', () => {
  throughEach(mounted, ({ request }) => {
    test('routes are found, and base_url holds the prefix', { timeout }, async () => {
      const answer = await request('/shop/where')
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.json.base, `${mounted.origin}/shop/`)
      assert.equal(answer.json.where, `${mounted.origin}/shop/where`)
    })
  })
})

describe('WebSocket', () => {
  test('a listener of JSON', { timeout }, async () => {
    const socket = handler.connect(`ws://${host}/listener`)
    socket.send('{"tea": "green"}')
    const { value } = await socket[Symbol.asyncIterator]().next()
    assert.deepEqual(JSON.parse(value), { tea: 'GREEN' })
    socket.close()
  })

  test('bytes, subprotocol, headers and the close code', { timeout }, async () => {
    const socket = handler.connect(`ws://${host}/socket/ann`, { protocols: ['chat'] })
    const messages = socket[Symbol.asyncIterator]()
    socket.send(Buffer.from([1, 2, 3]))
    assert.deepEqual((await messages.next()).value, Buffer.from([3, 2, 1]))
    assert.deepEqual([socket.protocol, socket.headers.get('x-name')], ['chat', 'ann'])
    socket.close(4000)
    assert.equal(await noted('left ann'), 4000)
  })
})

test('curl posts JSON', { timeout }, async () => {
  const text = await curl([`${origin}/items/1`, '--header', 'content-type: application/json', '--data', '{"name": "tea", "price": 1}'])
  assert.equal(JSON.parse(text).name, 'tea')
})

test('nothing of this was an error to the listener', () => {
  assert.deepEqual(errors, [])
})

test('the lifespan ends with the handler', { timeout }, async () => {
  await service.close()
  assert.equal((await mounted.faces[0].request('/shop/noted/shutdown')).json.noted, true)
})

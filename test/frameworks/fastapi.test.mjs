// FastAPI, as its users know it from uvicorn: apps/fastapi_app.py.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { attachWebSocket } from '../../http.js'
import { Request } from '../../index.js'
import { curl, multipart, pythonClient, readUntil, serve, throughEach, timeout } from './faces.mjs'

const service = await serve('fastapi_app:app')
const mounted = await serve('fastapi_mounted:app', { rootPath: '/api' })
const witness = await serve('fastapi_app:app', { lifespan: 'off' })
const { handler, host, origin, errors } = service

/** The note that the application made under a name; waits until it has. */
async function noted (name) {
  return JSON.parse((await handler.handleRequest({ url: `/noted/${encodeURI(name)}` })).body)
}

function release (name) {
  return handler.handleRequest({ url: `/release/${encodeURI(name)}` })
}

const large = createHash('sha256')
for (let index = 0; index < 256; index++) large.update(Buffer.alloc(8192, index))
const largeDigest = large.digest('hex')

throughEach(service, ({ name: face, request, open }) => {
  const json = (path, method, value, headers) => request(path, {
    method, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value)
  })

  test('path, query, header and body parameters arrive converted', { timeout }, async () => {
    const answer = await json('/items/7?q=%C3%A4', 'PUT', { name: 'tea', price: '3.5' }, { 'x-token': 't' })
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.json, { id: 7, item: { name: 'tea', price: 3.5, tags: [] }, q: 'ä', token: 't' })
    assert.equal(answer.header('content-type'), 'application/json')
    assert.equal(answer.header('x-stamp'), '/items/7')
  })

  test('a request that fails validation is told where', { timeout }, async () => {
    const answer = await json('/items/seven?q=too-long', 'PUT', { price: -1 })
    assert.equal(answer.status, 422)
    assert.deepEqual(answer.json.detail.map(({ loc }) => loc.join('.')).sort(),
      ['body.name', 'body.price', 'path.item_id', 'query.q'])
    const broken = await request('/items/7', { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"name": ' })
    assert.equal(broken.status, 422)
    assert.equal(broken.json.detail[0].type, 'json_invalid')
  })

  test('a dependency with yield ends after the response, and sees an error', { timeout }, async () => {
    const whole = await request('/dependency', { headers: { 'x-session': `${face} whole` } })
    assert.deepEqual(whole.json, { session: `${face} whole`, ended: false })
    assert.equal(await noted(`session ${face} whole`), 'committed')
    const failed = await request('/dependency?fail=true', { headers: { 'x-session': `${face} failed` } })
    assert.deepEqual([failed.status, failed.json], [409, { detail: 'conflict' }])
    assert.equal(await noted(`session ${face} failed`), 'rolled back: 409')
  })

  test('the response does not wait for a background task', { timeout }, async () => {
    const answer = await request(`/background/${face}`, { method: 'POST' })
    assert.deepEqual(answer.json, { accepted: face })
    await release(`work ${face}`)
    assert.equal(await noted(`work ${face}`), 'done')
  })

  test('a StreamingResponse of an async generator', { timeout }, async () => {
    const answer = await request('/stream')
    assert.equal(answer.text, 'row 0\nrow 1\nrow 2\n')
    assert.equal(answer.header('content-type'), 'text/csv; charset=utf-8')
    assert.equal(answer.header('content-length'), null)
  })

  test('a StreamingResponse of a sync generator, 2 MiB', { timeout }, async () => {
    const answer = await request('/stream/large')
    assert.equal(createHash('sha256').update(answer.body).digest('hex'), largeDigest)
  })

  test('the generator of a StreamingResponse ends when its client leaves', { timeout }, async () => {
    const { status, body } = await open(`/stream/endless/${face}`)
    assert.equal(status, 200)
    const reader = body[Symbol.asyncIterator]()
    await readUntil(reader, 'tick\ntick\n')
    await reader.return()
    assert.equal(await noted(`endless ${face}`), 'ended')
  })

  test('CORS: preflight, allowed and foreign origins', { timeout }, async () => {
    const preflight = await request('/items/7', {
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'x-token'
      }
    })
    assert.equal(preflight.status, 200)
    assert.equal(preflight.header('access-control-allow-origin'), 'https://app.example')
    assert.equal(preflight.header('access-control-allow-methods'), 'GET, PUT')
    assert.match(preflight.header('access-control-allow-headers'), /x-token/)
    const refused = await request('/items/7', {
      method: 'OPTIONS',
      headers: { origin: 'https://other.example', 'access-control-request-method': 'DELETE' }
    })
    assert.equal(refused.status, 400)
    const simple = await request('/state', { headers: { origin: 'https://app.example' } })
    assert.equal(simple.header('access-control-allow-origin'), 'https://app.example')
    assert.equal(simple.header('access-control-allow-credentials'), 'true')
    assert.equal(simple.header('access-control-expose-headers'), 'x-stamp')
    assert.equal(simple.header('vary'), 'Origin')
  })

  test('a multipart upload, in memory and spooled to a file', { timeout }, async () => {
    for (const size of [10, 3 * 1024 * 1024]) {
      const content = Buffer.alloc(size, 'tea\r\n--')
      const answer = await request('/upload', {
        method: 'POST',
        ...await multipart({ title: 'Grüner Tee', file: { name: 'leaves.bin', type: 'application/x-tea', content } })
      })
      assert.equal(answer.status, 200, answer.text)
      assert.deepEqual(answer.json, {
        title: 'Grüner Tee',
        name: 'leaves.bin',
        type: 'application/x-tea',
        size,
        sha256: createHash('sha256').update(content).digest('hex')
      })
    }
  })

  test('the state of the lifespan reaches requests, beside that of a middleware', { timeout }, async () => {
    const first = (await request('/state')).json
    const second = (await request('/state')).json
    assert.deepEqual([first.pool, first.stamped], ['open', true])
    // A shallow copy: the list is the same one.
    assert.equal(second.visits, first.visits + 1)
  })

  test('a sync endpoint runs in a thread with the context of its request', { timeout }, async () => {
    const users = ['green', 'black', 'white', 'oolong']
    const answers = await Promise.all(users.map(user => request('/thread', { headers: { 'x-user': user } })))
    assert.deepEqual(answers.map(answer => answer.json), users.map(user => ({ user, main: false })))
  })

  test('cookies stay header fields of their own', { timeout }, async () => {
    const answer = await request('/cookies')
    assert.deepEqual(answer.all('set-cookie'), ['a=1; HttpOnly; Path=/; SameSite=lax', 'b=2; Path=/; SameSite=lax; Secure'])
  })

  test('HEAD, a wrong method and a missing route are answered by FastAPI', { timeout }, async () => {
    assert.deepEqual((await request('/nowhere')).json, { detail: 'Not Found' })
    const answer = await request('/where', { method: 'HEAD' })
    assert.deepEqual([answer.status, answer.header('allow'), answer.body.length], [405, 'GET', answer.body.length])
    assert.equal((await request('/where', { method: 'DELETE' })).status, 405)
  })

  test('an exception with a handler is its response', { timeout }, async () => {
    const answer = await request('/raise/handled')
    assert.deepEqual([answer.status, answer.text], [404, 'no tea'])
  })

  test('an exception without a handler is FastAPI\'s 500, as under uvicorn', { timeout }, async () => {
    const answer = await request('/raise')
    assert.deepEqual([answer.status, answer.text], [500, 'Internal Server Error'])
  })

  test('url_for, base_url and a mounted application at the root', { timeout }, async () => {
    assert.deepEqual((await request('/where?q=1')).json, {
      root_path: '',
      path: '/where',
      url: `${origin}/where?q=1`,
      base: `${origin}/`,
      where: `${origin}/where`,
      item: `${origin}/items/7`
    })
    assert.deepEqual((await request('/admin/where')).json, {
      root_path: '/admin',
      path: '/admin/where',
      url: `${origin}/admin/where`,
      where: `${origin}/admin/where`
    })
  })

  test('openapi.json and the page that shows it', { timeout }, async () => {
    const answer = await request('/openapi.json')
    assert.ok(Object.hasOwn(answer.json.paths, '/items/{item_id}'))
    assert.equal(answer.json.servers, undefined)
    assert.match((await request('/docs')).text, /url: '\/openapi.json'/)
  })
})

describe('under a rootPath', () => {
  throughEach(mounted, ({ request }) => {
    for (const [described, prefix] of [['with', '/api'], ['without', '']]) {
      test(`url_for holds the prefix, for a url ${described} it`, { timeout }, async () => {
        const { origin } = mounted
        const answer = await request(`${prefix}/where`)
        assert.equal(answer.status, 200, answer.text)
        assert.deepEqual(answer.json, {
          root_path: '/api',
          path: '/api/where',
          url: `${origin}/api/where`,
          base: `${origin}/api/`,
          where: `${origin}/api/where`,
          item: `${origin}/api/items/7`
        })
        assert.deepEqual((await request(`${prefix}/admin/where`)).json, {
          root_path: '/api/admin',
          path: '/api/admin/where',
          url: `${origin}/api/admin/where`,
          where: `${origin}/api/admin/where`
        })
      })
    }

    test('openapi.json names the prefix as its server', { timeout }, async () => {
      assert.deepEqual((await request('/api/openapi.json')).json.servers, [{ url: '/api' }])
      assert.match((await request('/api/docs')).text, /url: '\/api\/openapi.json'/)
    })
  })
})

describe('a websocket route', () => {
  const url = path => `ws://${host}${path}`

  test('path, query, subprotocol and state; text and bytes', { timeout }, async () => {
    const socket = handler.connect(url('/rooms/tea?name=face'), { protocols: ['soap', 'chat'] })
    const messages = socket[Symbol.asyncIterator]()
    assert.deepEqual(JSON.parse((await messages.next()).value), { room: 'tea', name: 'face', pool: 'open' })
    assert.equal(socket.protocol, 'chat')
    socket.send('green')
    assert.equal((await messages.next()).value, 'GREEN')
    socket.send(Buffer.from([0, 1, 255]))
    assert.deepEqual((await messages.next()).value, Buffer.from([255, 1, 0]))
    socket.close(3000, 'enough')
    assert.deepEqual(await noted('left face'), { code: 3000, reason: 'enough' })
  })

  test('the application closes with a code and a reason', { timeout }, async () => {
    const socket = handler.connect(url('/rooms/tea'))
    const closed = new Promise(resolve => socket.addEventListener('close', resolve))
    socket.addEventListener('open', () => socket.send('bye'))
    const { code, reason, wasClean } = await closed
    assert.deepEqual([code, reason, wasClean], [4001, 'as you wish', true])
  })

  for (const name of ['close', 'raise']) {
    test(`a refusal before the accept (${name}) is a 403`, { timeout }, async () => {
      const socket = handler.connect(url(`/rooms/closed?name=${name}`))
      await assert.rejects(socket[Symbol.asyncIterator]().next(), { code: 'ERR_PYTHON_WEBSOCKET_REFUSED', status: 403 })
    })
  }

  test('an exception before the accept is the socket\'s error', { timeout }, async () => {
    const socket = handler.connect(url('/rooms/closed?name=break'))
    await assert.rejects(socket[Symbol.asyncIterator]().next(), { code: 'ERR_PYTHON_EXCEPTION', pythonType: 'RuntimeError' })
  })

  test('handleStream and a Request carry the same conversation', { timeout }, async () => {
    const request = new Request({ url: url('/rooms/tea?name=stream'), websocket: true })
    const response = await handler.handleStream(request)
    assert.equal(response.status, 101)
    assert.equal(JSON.parse(await response.next()).name, 'stream')
    await request.write('green')
    assert.equal(String(await response.next()), 'GREEN')
    await request.end(3001, 'done')
    assert.deepEqual(await noted('left stream'), { code: 3001, reason: 'done' })
  })
})

describe('a websocket route, over a connection', () => {
  attachWebSocket(service.server, handler)

  test('ws: text, bytes, subprotocol, the close code both ways', { timeout }, async () => {
    const socket = new WebSocket(`ws://${host}/rooms/tea?name=ws`, ['soap', 'chat'])
    const greeting = once(socket, 'message')
    await once(socket, 'open')
    assert.equal(socket.protocol, 'chat')
    assert.deepEqual(JSON.parse((await greeting)[0]), { room: 'tea', name: 'ws', pool: 'open' })
    for (const [sent, received, binary] of [['green', 'GREEN', false], [Buffer.from([1, 2]), Buffer.from([2, 1]), true]]) {
      const answer = once(socket, 'message')
      socket.send(sent)
      const [data, isBinary] = await answer
      assert.deepEqual([isBinary, data], [binary, Buffer.from(received)])
    }
    socket.close(3000, 'enough')
    assert.deepEqual(await noted('left ws'), { code: 3000, reason: 'enough' })
  })

  test('ws: a refusal before the accept is a 403', { timeout }, async () => {
    const socket = new WebSocket(`ws://${host}/rooms/closed?name=close`)
    socket.on('error', () => {})
    const [, response] = await once(socket, 'unexpected-response')
    assert.equal(response.statusCode, 403)
    socket.terminate()
  })

  test('websockets: text, bytes, a ping, the code and reason of the application, a refusal', { timeout }, async () => {
    assert.deepEqual(await pythonClient('websockets_chat', `ws://${host}`), {
      greeting: { room: 'tea', name: 'websockets', pool: 'open' },
      subprotocol: 'chat',
      text: 'GREEN',
      binary: [150_000, true],
      left: [4001, 'as you wish'],
      refused: 403
    })
  })
})

test('curl uploads a form from a pipe, and waits for 100 Continue', { timeout }, async () => {
  const content = 'tea\n'.repeat(500_000)
  const form = ['--header', 'Expect: 100-continue', '--form', 'title=curl', '--form', 'file=@-;filename=a.txt;type=text/plain']
  const answer = JSON.parse(await curl([`${origin}/upload`, ...form], { input: content }))
  assert.deepEqual([answer.title, answer.name, answer.type, answer.size], ['curl', 'a.txt', 'text/plain', content.length])
})

test('httpx uploads, streams and is told of a mistake', { timeout }, async () => {
  const seen = await pythonClient('httpx_upload', origin, String(1024 * 1024))
  assert.deepEqual(seen, {
    upload: { title: 'Grüner Tee', name: 'leaves.bin', type: 'application/x-tea', size: 1024 * 1024, sha256: seen.sent },
    sent: seen.sent,
    streamed: largeDigest,
    invalid: [422, ['body', 'price']]
  })
})

test('nothing of this was an error to the listener', () => {
  assert.deepEqual(errors, [])
  assert.deepEqual(mounted.errors, [])
})

test('the lifespan ends with the handler', { timeout }, async () => {
  await service.close()
  const { json } = await witness.faces[0].request('/noted/shutdown')
  assert.equal(json, true)
})

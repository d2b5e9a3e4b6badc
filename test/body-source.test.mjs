// A stream that is the body of a request: whoever gave it must not have to look after it, whatever becomes of the request.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import { Duplex, PassThrough, Readable } from 'node:stream'
import { after, describe, test } from 'node:test'
import { Request } from '../index.js'
import { collect, failure, noted, release, serve, timeout, turns } from './fixtures.mjs'
import { body, bytes, part, script, start, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0, maxBodySize: 64 * 2 ** 20 })
const OK = script(start(), body('ok'))
const hang = () => script(['receive', unique('received')], ['forever', unique('never')])

const occupied = new AbortController()
after(() => occupied.abort())

/** One request in flight, and no room for another. */
function narrow (options) {
  const own = serve('script:app', { responseTimeout: 0, maxInFlight: 1, ...options })
  const controller = new AbortController()
  const occupying = own.handleRequest({ url: hang() }, AbortSignal.any([controller.signal, occupied.signal])).catch(() => {})
  return { own, let: async () => { controller.abort(); await occupying } }
}

describe('a stream that fails while nobody reads it', () => {
  const broken = new RangeError('broken')

  /** Each gives a stream away, and returns how its request ends. */
  const WAYS = {
    'before its request begins': async stream => {
      const { own, let: go } = narrow()
      const answer = own.handleRequest({ method: 'POST', url: OK, body: stream })
      stream.destroy(broken)
      await go()
      return answer
    },
    'after its request was given up in the queue': async stream => {
      const { own, let: go } = narrow()
      const controller = new AbortController()
      const answer = own.handleRequest({ method: 'POST', url: OK, body: stream }, controller)
      controller.abort(broken)
      stream.destroy(broken)
      await go()
      return answer
    },
    'after its request was refused for want of room': stream => {
      const { own } = narrow({ maxQueued: 0 })
      return own.handleRequest({ method: 'POST', url: OK, body: stream })
    },
    'after its request was found invalid': stream => handler.handleRequest({ method: 'a b', url: OK, body: stream }),
    'of a Request that was found invalid': async stream =>
      handler.handleRequest(new Request({ method: 'POST', url: OK, body: stream, state: { a: 1n } })),
    'after a signal that was aborted before': stream =>
      handler.handleRequest({ method: 'POST', url: OK, body: stream }, AbortSignal.abort(broken)),
    'after the handler was closed': async stream => {
      const own = serve('script:app')
      await own.close()
      return own.handleRequest({ method: 'POST', url: OK, body: stream })
    }
  }
  for (const [when, give] of Object.entries(WAYS)) {
    test(`${when} is not the process's: the request rejects, the stream is destroyed`, { timeout }, async () => {
      const stream = new PassThrough()
      await assert.rejects(give(stream))
      stream.destroy(broken)
      // An error without a listener would be the process's by now.
      await new Promise(setImmediate)
      assert.equal(stream.destroyed, true)
    })
  }

  test('after the response is nobody\'s', { timeout }, async () => {
    const stream = new PassThrough()
    stream.write('part')
    assert.equal((await handler.handleRequest({ method: 'POST', url: OK, body: stream })).status, 200)
    stream.destroy(broken)
    await new Promise(setImmediate)
  })
})

describe('a stream of a file', () => {
  test('is closed when the request is aborted, answered early, or invalid', { timeout }, async () => {
    const file = new URL(import.meta.url)
    const open = async () => {
      const stream = fs.createReadStream(file, { highWaterMark: 16 })
      await once(stream, 'open')
      return stream
    }
    const [early, aborted, invalid] = await Promise.all([open(), open(), open()])
    const closed = [early, aborted, invalid].map(stream => new Promise(resolve => stream.on('close', resolve)))
    await handler.handleRequest({ method: 'POST', url: OK, body: early })
    const controller = new AbortController()
    const answer = handler.handleRequest({ method: 'POST', url: script(['forever', unique('never')]), body: aborted }, controller)
    await turns(1)
    controller.abort()
    await assert.rejects(answer, { name: 'AbortError' })
    await assert.rejects(handler.handleRequest({ url: 'no url', body: invalid }), failure('ERR_PYTHON_INVALID_URL'))
    await Promise.all(closed)
  })
})

test('a web stream is cancelled with the reason of the abort, also while it waits', { timeout }, async () => {
  let cancelled
  const whenCancelled = new Promise(resolve => { cancelled = resolve })
  const stream = new ReadableStream({ cancel: cancelled })
  const controller = new AbortController()
  const answer = handler.handleRequest({ method: 'POST', url: hang(), body: stream }, controller)
  const reason = new RangeError('enough')
  await turns(1)
  controller.abort(reason)
  await assert.rejects(answer, reason)
  assert.equal(await whenCancelled, reason)
})

test('a stream cannot be the body of two requests', { timeout }, async () => {
  const stream = new PassThrough()
  const first = handler.handleRequest({ method: 'POST', url: script(['swallow', unique('body')], start(), body()), body: stream })
  await assert.rejects(handler.handleRequest({ method: 'POST', url: OK, body: stream }), failure('ERR_PYTHON_BODY'))
  // The one that has it goes on.
  assert.equal(stream.destroyed, false)
  stream.end('whole')
  assert.equal((await first).status, 200)
})

test('the request of a server is not destroyed: its response can still be sent', { timeout }, async t => {
  const server = http.createServer(async (req, res) => {
    const { status } = await handler.handleRequest({ method: 'POST', url: OK, body: req })
    res.end(String(status))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address()
  const answer = await new Promise((resolve, reject) => {
    const client = http.request({ port, host: '127.0.0.1', method: 'POST', agent: false }, resolve).on('error', reject)
    client.write('a part')
    t.after(() => client.destroy())
  })
  assert.equal(String(await answer.toArray()), '200')
})

describe('a stream of an HTTP/2 server, on which the response goes out', () => {
  for (const [what, steps, expected] of [
    ['that the application reads', [['swallow', unique('body')], start(), part('a'), body('b')], 'ab'],
    ['that it does not read', [start(), part('a'), body('b')], 'ab']
  ]) {
    test(`${what} is not destroyed`, { timeout }, async t => {
      const server = http2.createServer()
      server.on('stream', async (stream, headers) => {
        const response = await handler.handleStream({ method: 'POST', url: headers[':path'], body: stream })
        stream.respond({ ':status': response.status })
        response.stream().pipe(stream)
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      t.after(() => server.close())
      const client = http2.connect(`http://127.0.0.1:${server.address().port}`)
      t.after(() => client.destroy())
      const request = client.request({ ':method': 'POST', ':path': script(...steps) })
      request.end(Buffer.alloc(200_000))
      assert.equal(String(await collect(request)), expected)
      assert.equal(request.rstCode, http2.constants.NGHTTP2_NO_ERROR)
    })
  }
})

test('a stream that goes both ways is not destroyed when its readable side has ended', { timeout }, async () => {
  const source = new Duplex({
    read () {
      this.push('all')
      this.push(null)
    },
    write (_chunk, _encoding, callback) { callback() },
    autoDestroy: false
  })
  assert.equal((await handler.handleRequest({ method: 'POST', url: script(['swallow', unique('body')], start(), body()), body: source })).status, 200)
  await turns(2)
  assert.deepEqual([source.destroyed, source.writable], [false, true])
})

test('a stream that was read by somebody is refused; one that ended empty is an empty body', { timeout }, async () => {
  const read = Readable.from([Buffer.from('all')])
  await collect(read)
  await assert.rejects(handler.handleRequest({ method: 'POST', url: OK, body: read }), failure('ERR_PYTHON_BODY'))
  const empty = Readable.from([])
  await collect(empty)
  const name = unique('body')
  await handler.handleRequest({ method: 'POST', url: script(['receive', name], start(), body()), body: empty })
  assert.deepEqual(await noted(name), { type: 'http.request', body: bytes(''), more_body: false })
})

test('a source that never waits does not hold the event loop: an early answer is heard', { timeout }, async () => {
  const chunk = Buffer.alloc(16_000)
  for (let round = 0; round < 5; round++) {
    let reads = 0
    const source = new Readable({
      read () {
        reads++
        this.push(chunk)
      }
    })
    // Its limit is 64 MiB, some 4,000 parts.
    assert.equal((await handler.handleRequest({ method: 'POST', url: OK, body: source })).status, 200)
    assert.ok(reads < 3_000, `${reads} reads`)
  }
})

test('what the application has not read is not asked of the source', { timeout }, async () => {
  const name = unique('wait')
  let reads = 0
  const source = new Readable({
    highWaterMark: 1,
    read () {
      reads++
      this.push(Buffer.alloc(64 * 1024))
    }
  })
  const answer = handler.handleRequest({ method: 'POST', url: script(['released', name], start(), body()), body: source })
  await turns(5)
  const before = reads
  assert.ok(before > 0)
  await turns(5)
  assert.equal(reads, before)
  await release(name)
  await answer
})

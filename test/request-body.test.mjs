// Request bodies of every kind and size on their way to `receive`, with backpressure.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { Request } from '../index.js'
import { collect, failure, json, noted, notedSoFar, release, serveHttp as serve, timeout, turns, watch } from './fixtures.mjs'
import { body, script, start, unique } from './script.mjs'

const handler = serve('request_body:app', { responseTimeout: 0 })
const KIB = 1024
const MIB = 1024 * KIB

/** Bytes that differ at every place, all 256 values among them. */
function bytes (length, seed = 0) {
  const buffer = Buffer.allocUnsafe(length)
  let state = seed + 1
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    buffer[index] = state >>> 24
  }
  return buffer
}

const sha256 = buffer => createHash('sha256').update(buffer).digest('hex')
const post = (url, body) => ({ method: 'POST', url, body })

async function digest (body) {
  return json(await handler.handleRequest(post('/digest', body)))
}

/** What the application read, by each way of handling a request. */
async function digests (make) {
  const request = post('/digest', make())
  const streamed = await collect(await handler.handleStream(post('/digest', make())))
  const wrapped = await handler.handleRequest(new Request(post('/digest', make())))
  const open = new Request(post('/digest', make()))
  const answer = handler.handleStream(open)
  await open.end()
  const streamedWrapped = await collect(await answer)
  return [json(await handler.handleRequest(request)), JSON.parse(streamed), json(wrapped), JSON.parse(streamedWrapped)]
}

describe('a complete body', () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
  const shared = new Uint8Array(new SharedArrayBuffer(4))
  shared.set([1, 2, 254, 255])
  for (const [name, body, expected] of [
    ['undefined', undefined, Buffer.alloc(0)],
    ['null', null, Buffer.alloc(0)],
    ['an empty string', '', Buffer.alloc(0)],
    ['an empty Buffer', Buffer.alloc(0), Buffer.alloc(0)],
    ['one byte', Buffer.from([0]), Buffer.from([0])],
    ['every byte', all, all],
    ['text', 'ä☃🐍\0', Buffer.from('ä☃🐍\0')],
    ['a Uint8Array', new Uint8Array(all), all],
    ['a part of a Uint8Array', new Uint8Array(all.buffer, all.byteOffset, 256).subarray(10, 20), all.subarray(10, 20)],
    ['a Uint16Array', new Uint16Array([1, 0xffff]), Buffer.from(new Uint16Array([1, 0xffff]).buffer)],
    ['a DataView', new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2), Buffer.from([2, 3])],
    ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer, Buffer.from([1, 2, 3])],
    ['a view of a SharedArrayBuffer', shared, Buffer.from(shared)],
    ['a SharedArrayBuffer', shared.buffer, Buffer.from(shared)]
  ]) {
    test(`may be ${name}`, { timeout }, async () => {
      const wanted = { length: expected.length, sha256: sha256(expected), messages: 1, largest: expected.length }
      for (const seen of await digests(() => body)) assert.deepEqual(seen, wanted)
      assert.deepEqual(json(handler.handleRequestSync(post('/digest', body))), wanted)
      assert.deepEqual(json(handler.handleRequestSync(new Request(post('/digest', body)))), wanted)
    })
  }

  for (const length of [1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 16 * MIB, 100 * 1000 * 1000]) {
    test(`of ${length} bytes arrives whole`, { timeout }, async () => {
      const body = bytes(length)
      const seen = await digest(body)
      assert.equal(seen.length, length)
      assert.equal(seen.sha256, sha256(body))
    })
  }

  test('is copied when it is handed over', { timeout }, async () => {
    const body = bytes(MIB)
    const expected = sha256(body)
    const answer = digest(body)
    body.fill(0)
    assert.equal((await answer).sha256, expected)
  })

  test('whose memory was given away is empty or refused, never read', { timeout }, async () => {
    const body = new Uint8Array(MIB)
    structuredClone(body.buffer, { transfer: [body.buffer] })
    const seen = await digest(body).catch(error => error)
    assert.ok(seen instanceof TypeError || seen.code === 'ERR_PYTHON_INVALID_ARGUMENT' || seen.length === 0)
  })

  test('may come with GET', { timeout }, async () => {
    assert.deepEqual(json(await handler.handleRequest({ url: '/messages', body: 'a' })), [['a', false]])
  })

  test('is received once: what follows is the disconnect after the response', { timeout }, async () => {
    const answer = json(await handler.handleRequest(post('/again/whole', 'a')))
    assert.deepEqual(answer, { messages: 1, pending: true })
    assert.deepEqual(await noted('again:whole'), [{ type: 'http.disconnect' }, { type: 'http.disconnect' }])
  })
})

describe('a streamed body', () => {
  const parts = ['ä', Buffer.from([0, 255]), new Uint8Array([1]), '', Buffer.alloc(0), 'end']
  const whole = Buffer.concat(parts.map(part => Buffer.from(part)))
  const inBytes = parts.map(part => Buffer.from(part)).filter(part => part.length > 0)

  const kinds = {
    'a Readable': () => Readable.from(inBytes, { objectMode: false }),
    'a Readable of objects': () => Readable.from(parts),
    'a Readable with an encoding': () => Readable.from(inBytes, { objectMode: false }).setEncoding('latin1'),
    'a PassThrough': () => {
      const stream = new PassThrough()
      for (const part of inBytes) stream.write(part)
      return stream.end()
    },
    'a web ReadableStream': () => new ReadableStream({
      start (controller) {
        for (const part of parts) controller.enqueue(part)
        controller.close()
      }
    }),
    'a ReadableStream of bytes': () => new ReadableStream({
      type: 'bytes',
      start (controller) {
        for (const part of inBytes) controller.enqueue(new Uint8Array(part))
        controller.close()
      }
    }),
    'the stream of a Blob': () => new Blob(parts).stream(),
    'the body of a fetch Response': () => new Response(new Blob(parts)).body,
    async *'an async generator' () { yield * parts }
  }
  for (const [name, kind] of Object.entries(kinds)) {
    test(`may be ${name}`, { timeout }, async () => {
      const make = name === 'an async generator' ? () => kind() : kind
      const expected = name.endsWith('an encoding') ? Buffer.from(Buffer.concat(inBytes).toString('latin1')) : whole
      for (const seen of await digests(make)) {
        assert.equal(seen.length, expected.length)
        assert.equal(seen.sha256, sha256(expected))
      }
    })
  }

  test('may be any object with an async iterator', { timeout }, async () => {
    const left = [...parts]
    const body = {
      [Symbol.asyncIterator]: () => ({
        next: async () => left.length > 0 ? { done: false, value: left.shift() } : { done: true, value: undefined }
      })
    }
    assert.equal((await digest(body)).sha256, sha256(whole))
  })

  for (const [name, make] of [['a Readable', () => Readable.from([])], ['a generator', async function * () {}]]) {
    test(`may be empty: ${name}`, { timeout }, async () => {
      assert.deepEqual(json(await handler.handleRequest(post('/messages', make()))), [['', false]])
    })
  }

  for (const [size, count] of [[1, 10_000], [100, 10_000], [64 * KIB - 1, 50], [64 * KIB, 50], [64 * KIB + 1, 50], [MIB, 30], [16 * MIB, 3]]) {
    test(`of ${count} chunks of ${size} bytes arrives whole and in order`, { timeout }, async () => {
      const chunk = bytes(size)
      const hash = createHash('sha256')
      const seen = await digest((async function * () {
        for (let index = 0; index < count; index++) {
          chunk.writeUIntBE(index % 256, 0, 1)
          hash.update(chunk)
          yield chunk
        }
      })())
      assert.equal(seen.length, size * count)
      assert.equal(seen.sha256, hash.digest('hex'))
    })
  }

  test('of 100 MB arrives whole', { timeout }, async () => {
    const chunk = bytes(100_000)
    const hash = createHash('sha256')
    for (let index = 0; index < 1000; index++) hash.update(chunk)
    const seen = await digest((async function * () {
      for (let index = 0; index < 1000; index++) yield chunk
    })())
    assert.equal(seen.length, 100_000_000)
    assert.equal(seen.sha256, hash.digest('hex'))
    // Small chunks are joined, but never to more than the window.
    assert.ok(seen.largest <= 100_000, `a message of ${seen.largest} bytes`)
  })

  test('cannot be read while handleRequestSync waits', { timeout }, () => {
    assert.throws(() => handler.handleRequestSync(post('/digest', Readable.from(['a']))), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    const open = new Request({ method: 'POST', url: '/digest' })
    open.write('a')
    assert.throws(() => handler.handleRequestSync(open), failure('ERR_PYTHON_INVALID_ARGUMENT'))
  })

  test('is followed by the disconnect after the response', { timeout }, async () => {
    const answer = json(await handler.handleRequest(post('/again/streamed', Readable.from(['a', 'b']))))
    assert.equal(answer.pending, true)
    assert.deepEqual(await noted('again:streamed'), [{ type: 'http.disconnect' }, { type: 'http.disconnect' }])
  })

  test('loses nothing to a receive that was cancelled', { timeout }, async () => {
    const stream = new PassThrough()
    const answer = handler.handleRequest(post('/cancelled_receive/body', stream))
    await noted('cancelled:body')
    stream.end('abc')
    assert.equal(json(await answer).join(''), 'abc')
  })
})

describe('a body on demand', () => {
  const scripts = serve('script:app', { responseTimeout: 0 })

  test('is read when the application receives, and not before', { timeout }, async () => {
    const name = unique('go')
    let isRead = false
    async function * source () {
      isRead = true
      yield Buffer.from('tea')
    }
    const path = script(['note', `${name}.called`], ['released', name], ['receive', name], start(), body('done'))
    const response = scripts.handleRequest(post(path, source()), { bodyOnDemand: true })
    await noted(`${name}.called`)
    await turns()
    assert.equal(isRead, false)
    await release(name)
    const message = await noted(name)
    assert.deepEqual([message.type, message.body], ['http.request', { $bytes: 'tea' }])
    assert.equal(String((await response).body), 'done')
  })

  test('is not read where the application does not receive, and given back', { timeout }, async () => {
    const stream = new PassThrough()
    stream.write('tea')
    const response = await scripts.handleRequest(post(script(start(), body('done')), stream), { bodyOnDemand: true })
    assert.equal(String(response.body), 'done')
    assert.equal(stream.destroyed, true)
    assert.equal(stream.readableLength, 3)
  })

  test('is whole, whatever its size', { timeout }, async () => {
    const content = bytes(5 * MIB)
    const read = json(await handler.handleRequest(post('/digest', Readable.from([content, content])), { bodyOnDemand: true }))
    assert.equal(read.length, 10 * MIB)
  })

  test('ends with its signal before it was asked for', { timeout }, async () => {
    const name = unique('never')
    const controller = new AbortController()
    const stream = new PassThrough()
    const path = script(['note', `${name}.called`], ['released', name])
    const response = scripts.handleRequest(post(path, stream), { bodyOnDemand: true, signal: controller.signal })
    await noted(`${name}.called`)
    controller.abort(new Error('enough'))
    await assert.rejects(response, { message: 'enough' })
    assert.equal(stream.destroyed, true)
    await release(name)
  })
})

describe('a body that fails', () => {
  const broken = new Error('the source broke')
  const sources = {
    async *'a generator' () {
      yield 'a'
      await noted('first:a generator')
      throw broken
    },
    'a Readable': () => {
      const stream = new PassThrough()
      stream.write('a')
      noted('first:a Readable').then(() => stream.destroy(broken))
      return stream
    },
    'a web ReadableStream': () => new ReadableStream({
      async pull (controller) {
        if (controller.desiredSize === 1 && !this.begun) {
          this.begun = true
          controller.enqueue(Buffer.from('a'))
        } else {
          await noted('first:a web ReadableStream')
          controller.error(broken)
        }
      }
    })
  }
  for (const [name, make] of Object.entries(sources)) {
    test(`fails the request with its own error, and the application sees a disconnect: ${name}`, { timeout }, async () => {
      await assert.rejects(handler.handleRequest(post(`/until_disconnect/${encodeURIComponent(name)}`, make())), error => error === broken)
      assert.deepEqual((await noted(`disconnect:${name}`)).at(-1), ['http.disconnect', 0])
    })
  }

  test('fails the request when a Readable is destroyed without an error', { timeout }, async () => {
    const stream = new PassThrough()
    stream.write('a')
    noted('first:destroyed').then(() => stream.destroy())
    await assert.rejects(handler.handleRequest(post('/until_disconnect/destroyed', stream)), { code: 'ERR_STREAM_PREMATURE_CLOSE' })
    assert.deepEqual((await noted('disconnect:destroyed')).at(-1), ['http.disconnect', 0])
  })

  test('fails the request when a Readable was destroyed before', { timeout }, async () => {
    const stream = new PassThrough()
    stream.on('error', () => {})
    stream.destroy(broken)
    await assert.rejects(handler.handleRequest(post('/digest', stream)))
  })

  for (const chunk of [1, null, {}, undefined]) {
    test(`with the chunk ${JSON.stringify(chunk)} is the caller's error`, { timeout }, async () => {
      const name = `chunk-${JSON.stringify(chunk)}`
      let closed = false
      const source = (async function * () {
        try {
          yield 'a'
          await noted(`first:${name}`)
          yield chunk
        } finally {
          closed = true
        }
      })()
      await assert.rejects(handler.handleRequest(post(`/until_disconnect/${name}`, source)), failure('ERR_PYTHON_INVALID_ARGUMENT'))
      await noted(`disconnect:${name}`)
      assert.equal(closed, true)
    })
  }

  test('fails the body of a response that has begun', { timeout }, async () => {
    const events = new EventEmitter()
    const source = (async function * () {
      yield 'a'
      await once(events, 'break')
      throw broken
    })()
    const response = await handler.handleStream(post('/echo', source))
    assert.equal(String(await response.next()), 'a')
    events.emit('break')
    await assert.rejects(response.next(), error => error === broken)
  })

  test('a web ReadableStream that is locked is refused', { timeout }, async () => {
    const stream = new ReadableStream()
    stream.getReader()
    await assert.rejects(handler.handleRequest(post('/digest', stream)))
  })
})

describe('backpressure', () => {
  test('a source is not read on while the application does not receive', { timeout }, async () => {
    let taken = 0
    const chunk = bytes(16 * KIB)
    const answer = handler.handleRequest(post('/late/source', (async function * () {
      for (; taken < 1000; taken++) yield chunk
    })()))
    await noted('late-started:source')
    await turns()
    // The window is 64 KiB; one chunk may have been asked for beyond it.
    assert.ok(taken <= 5, `${taken} chunks were taken`)
    await release('late:source')
    assert.equal(json(await answer).length, 1000 * chunk.length)
  })

  test('write resolves when the application has taken enough', { timeout }, async () => {
    const request = new Request({ method: 'POST', url: '/late/write' })
    const answer = handler.handleStream(request)
    await noted('late-started:write')
    let writes = 0
    let isDone = () => true
    let last
    while (isDone() && writes < 100) {
      last = request.write(bytes(16 * KIB))
      isDone = watch(last)
      writes++
      await turns(2)
    }
    assert.equal(writes, 4)
    await turns()
    assert.equal(isDone(), false)
    await release('late:write')
    await last
    await request.end()
    assert.equal(JSON.parse(await collect(await answer)).length, 4 * 16 * KIB)
  })

  test('write waits again each time the window is full', { timeout }, async () => {
    const request = new Request({ method: 'POST', url: '/pulled/window' })
    const answer = handler.handleStream(request)
    for (let turn = 0; turn < 5; turn++) {
      const written = request.write(bytes(64 * KIB))
      const isDone = watch(written)
      await turns(3)
      assert.equal(isDone(), false, `write ${turn}`)
      await release(`pull:window:${turn}`)
      assert.equal(await noted(`pulled:window:${turn + 1}`), (turn + 1) * 64 * KIB)
      await written
    }
    await request.end()
    await release('pull:window:5')
    assert.equal(String(await collect(await answer)), String(5 * 64 * KIB))
  })

  test('an application that never receives keeps memory bounded, and its answer ends the source', { timeout }, async () => {
    const events = new EventEmitter()
    const returned = once(events, 'returned')
    let taken = 0
    const answer = handler.handleRequest(post('/ignore/source', (async function * () {
      try {
        for (; taken < 10_000; taken++) yield bytes(64 * KIB)
      } finally {
        events.emit('returned')
      }
    })()))
    await noted('ignore-started:source')
    await turns()
    assert.ok(taken <= 2, `${taken} chunks were taken`)
    await release('ignore:source')
    assert.equal(json(await answer), 'ignored')
    await returned
    assert.ok(taken <= 3, `${taken} chunks were taken`)
  })

  test('a write that waits is freed by the response', { timeout }, async () => {
    const request = new Request({ method: 'POST', url: '/ignore/write' })
    const answer = handler.handleStream(request)
    const written = request.write(bytes(MIB))
    const isDone = watch(written)
    await noted('ignore-started:write')
    await turns()
    assert.equal(isDone(), false)
    await release('ignore:write')
    await written
    assert.equal(String(await collect(await answer)), '"ignored"')
  })

  test('a Readable that was not read to its end is destroyed', { timeout }, async () => {
    const stream = new PassThrough({ highWaterMark: 16 })
    stream.write('a')
    const closed = once(stream, 'close')
    assert.equal(json(await handler.handleRequest(post('/first', stream))), 1)
    await closed
    assert.equal(stream.errored, null)
  })

  test('a web ReadableStream that was not read to its end is cancelled', { timeout }, async () => {
    const events = new EventEmitter()
    const cancelled = once(events, 'cancel')
    const stream = new ReadableStream({
      pull (controller) { controller.enqueue(bytes(64 * KIB)) },
      cancel () { events.emit('cancel') }
    })
    assert.equal(json(await handler.handleRequest(post('/first', stream))), 64 * KIB)
    await cancelled
  })
})

describe('both ways at once', () => {
  test('the response begins before the request body has ended', { timeout }, async () => {
    const request = new Request({ method: 'POST', url: '/echo' })
    const answer = handler.handleStream(request)
    await request.write('first')
    const response = await answer
    assert.equal(String(await response.next()), 'first')
    for (let turn = 0; turn < 100; turn++) {
      await request.write(`turn ${turn}`)
      assert.equal(String(await response.next()), `turn ${turn}`)
    }
    await request.end()
    assert.equal(await response.next(), null)
  })

  test('a body of 50 MB is echoed while it is sent', { timeout }, async () => {
    const chunk = bytes(50_000)
    const hash = createHash('sha256')
    const response = await handler.handleStream(post('/echo', (async function * () {
      for (let index = 0; index < 1000; index++) {
        hash.update(chunk)
        yield chunk
      }
    })()))
    const seen = createHash('sha256')
    let length = 0
    for await (const part of response) {
      seen.update(part)
      length += part.length
    }
    assert.equal(length, 1000 * chunk.length)
    assert.equal(seen.digest('hex'), hash.digest('hex'))
  })

  test('the body of one response is the body of the next request', { timeout }, async () => {
    const first = await handler.handleStream(post('/echo', bytes(MIB)))
    const second = await handler.handleStream(post('/echo', first.stream()))
    const third = await handler.handleRequest(post('/digest', second))
    assert.equal(json(third).sha256, sha256(bytes(MIB)))
  })

  test('an echo whose reader stops holds the source back', { timeout }, async () => {
    let taken = 0
    const response = await handler.handleStream(post('/echo', (async function * () {
      for (; taken < 10_000; taken++) yield bytes(64 * KIB)
    })()))
    await response.next()
    await turns(50)
    const stopped = taken
    await turns(50)
    assert.equal(taken, stopped)
    assert.ok(taken <= 10, `${taken} chunks were taken`)
    response.stream().destroy()
    assert.equal(await notedSoFar('unknown'), null)
  })
})

// Response bodies of every size, buffered and streamed, with backpressure.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Request } from '../index.js'
import { collect, failure, json, noted, notedSoFar, release, serveHttp as serve, timeout, turns, watch } from './fixtures.mjs'
import { body, part, script, start, unique } from './script.mjs'

const handler = serve('response_body:app', { responseTimeout: 0 })
const KIB = 1024
const MIB = 1024 * KIB
const sha256 = buffer => createHash('sha256').update(buffer).digest('hex')

/** Collects what nobody holds, and lets the finalizers run. */
async function collectGarbage () {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  for (let round = 0; round < 20; round++) {
    gc()
    await turns(1)
  }
}

describe('a response that nobody holds', () => {
  const scripts = serve('script:app', { responseTimeout: 0 })
  const ways = { 'as it is': () => {}, 'with a stream that nobody reads': response => { response.stream() } }
  for (const [what, take] of Object.entries(ways)) {
    test(`is given up: ${what}`, { timeout }, async () => {
      const name = unique('gone')
      take(await scripts.handleStream({ url: script(['receive'], start(), part('first'), ['receive', name]) }))
      await collectGarbage()
      assert.equal((await noted(name)).type, 'http.disconnect')
      assert.equal(scripts.stats().openStreams, 0)
    })
  }

  // Scenario: who only writes kept the request alone, and the connection went with the response.
  for (const [what, begin, received] of [
    ['a body', start(), { type: 'http.request', body: { $bytes: 'part' }, more_body: true }],
    ['a WebSocket', ['send', { type: 'websocket.accept' }], { type: 'websocket.receive', bytes: { $bytes: 'part' } }]
  ]) {
    test(`goes on while its request is held, and ${what} may be written`, { timeout }, async () => {
      const name = unique('got')
      const isWebSocket = what === 'a WebSocket'
      const url = script(...isWebSocket ? [['receive']] : [], begin, ...isWebSocket ? [] : [part('first')], ['receive', name], ['receive', `${name}.end`])
      const held = { request: new Request({ url, method: isWebSocket ? 'GET' : 'POST', websocket: isWebSocket }) }
      assert.equal((await scripts.handleStream(held.request)).status, isWebSocket ? 101 : 200)
      await collectGarbage()
      await held.request.write(Buffer.from('part'))
      assert.deepEqual(await noted(name), received)
      held.request = null
      await collectGarbage()
      assert.match((await noted(`${name}.end`)).type, /disconnect$/)
    })
  }
})

describe('a response whose request is held', () => {
  const scripts = serve('script:app', { responseTimeout: 0 })

  // Scenario: whoever held the request, which could not write any more, kept the call in flight for ever.
  test('is given up with the response, once the request has ended', { timeout }, async () => {
    const name = unique('ended')
    const request = new Request({ method: 'POST', url: script(['receive'], start(), part('first'), ['receive', name]) })
    await (async () => {
      const answer = scripts.handleStream(request)
      await request.write('x')
      await request.end()
      await answer
    })()
    await collectGarbage()
    while (scripts.stats().inFlight > 0) await collectGarbage()
    assert.equal(request.method, 'POST')
  })
})

describe('a stream that is not read yet', () => {
  const scripts = serve('script:app', { responseTimeout: 0 })

  // Scenario: the stream was destroyed at once, and an error that nobody listened for ended the process.
  test('gives what had come when the application fails, and then its failure', { timeout }, async () => {
    const name = unique('fail')
    const response = await scripts.handleStream({ url: script(start(), part('first'), ['released', name], ['fail', 'enough']) })
    const stream = response.stream()
    await release(name)
    while (scripts.stats().inFlight > 0) await turns()
    let text = ''
    await assert.rejects(async () => {
      for await (const chunk of stream) text += chunk
    }, failure('ERR_PYTHON_EXCEPTION'))
    assert.equal(text, 'first')
  })
})

describe('a response that only its reader holds', () => {
  const readers = {
    async stream (name) {
      return collect((await handler.handleStream({ url: `/later/${name}` })).stream())
    },
    async next (name) {
      const first = await (await handler.handleStream({ url: `/later/${name}` })).next()
      return `${first}ended`
    },
    async iteration (name) {
      return collect(await handler.handleStream({ url: `/later/${name}` }))
    },
    async fetch (name) {
      const { body } = await handler.fetch(`/later/${name}`)
      return collect(body)
    }
  }
  for (const [name, read] of Object.entries(readers)) {
    test(`is read to its end by ${name}`, { timeout }, async () => {
      const body = read(name)
      await collectGarbage()
      await release(`begin:${name}`)
      await collectGarbage()
      await release(`end:${name}`)
      assert.equal(String(await body), 'begun ended')
    })
  }
})

describe('a body of one message', () => {
  for (const length of [0, 1, 255, 4 * KIB - 1, 4 * KIB, 4 * KIB + 1, 64 * KIB, 64 * KIB + 1, 256 * KIB - 1, 256 * KIB, MIB, 16 * MIB, 100_000_000]) {
    test(`of ${length} bytes arrives whole`, { timeout }, async () => {
      const buffered = await handler.handleRequest({ url: `/whole/${length}` })
      assert.equal(buffered.body.length, length)
      assert.equal(sha256(buffered.body), buffered.headers.get('x-sha256'))
      const streamed = await handler.handleStream({ url: `/whole/${length}` })
      const body = await collect(streamed)
      assert.equal(body.length, length)
      assert.equal(sha256(body), streamed.headers.get('x-sha256'))
      if (length > 20_000_000) return
      const sync = handler.handleRequestSync({ url: `/whole/${length}` })
      assert.equal(sync.body.length, length)
      assert.equal(sha256(sync.body), sync.headers.get('x-sha256'))
    })
  }

  test('that the application keeps cannot be changed from JavaScript', { timeout }, async () => {
    const first = await handler.handleRequest({ url: '/constant' })
    first.body.fill(0)
    for await (const chunk of await handler.handleStream({ url: '/constant' })) chunk.fill(0)
    const second = await handler.handleRequest({ url: '/constant' })
    assert.equal(sha256(second.body), second.headers.get('x-sha256'))
  })
})

describe('a body of many messages', () => {
  for (const [count, size] of [[10_000, 1], [10_000, 100], [100, 64 * KIB - 1], [100, 64 * KIB], [100, 64 * KIB + 1], [30, MIB], [3, 16 * MIB], [1000, 100_000]]) {
    test(`of ${count} chunks of ${size} bytes arrives whole and in order`, { timeout }, async () => {
      const url = `/chunks/${count}/${size}`
      const streamed = createHash('sha256')
      let length = 0
      for await (const chunk of await handler.handleStream({ url })) {
        assert.ok(chunk.length > 0)
        streamed.update(chunk)
        length += chunk.length
      }
      assert.equal(length, count * size)
      assert.equal(streamed.digest('hex'), await noted(`chunks:${count}/${size}`))
      const buffered = await handler.handleRequest({ url })
      assert.equal(sha256(buffered.body), await noted(`chunks:${count}/${size}`))
    })
  }

  test('may be bytes, bytearray, memoryview or nothing', { timeout }, async () => {
    const expected = 'bytes bytearray memoryview slice one-shot end'
    assert.equal(String((await handler.handleRequest({ url: '/types' })).body), expected)
    assert.equal(String(await collect(await handler.handleStream({ url: '/types' }))), expected)
  })

  test('is copied by send: the application may fill its buffer again', { timeout }, async () => {
    const expected = Buffer.concat([0, 1, 2, 3, 4].map(value => Buffer.alloc(300_000, value)))
    assert.ok(expected.equals((await handler.handleRequest({ url: '/reused' })).body))
    assert.ok(expected.equals(await collect(await handler.handleStream({ url: '/reused' }))))
  })

  test('has no empty chunks', { timeout }, async () => {
    const response = await handler.handleStream({ url: '/empty_parts' })
    const chunks = []
    for await (const chunk of response) chunks.push(chunk)
    assert.ok(chunks.every(chunk => chunk.length > 0))
    assert.equal(String(Buffer.concat(chunks)), 'ab')
  })
})

describe('a body that is long in coming', () => {
  test('does not hold the head back', { timeout }, async () => {
    const response = await handler.handleStream({ url: '/head_first' })
    assert.equal(response.headers.get('content-type'), 'text/event-stream')
    assert.equal(response.complete, false)
    assert.equal(response.body, null)
    const first = response.next()
    const isDone = watch(first)
    await turns()
    assert.equal(isDone(), false)
    await release('head-first')
    assert.equal(String(await first), 'data: 1\n\n')
    await release('second-event')
    assert.equal(String(await response.next()), 'data: 2\n\n')
    assert.equal(await response.next(), null)
  })

  test('gives each chunk as it comes', { timeout }, async () => {
    const response = await handler.handleStream({ url: '/stepwise' })
    for (const step of [0, 1, 2]) {
      const chunk = response.next()
      const isDone = watch(chunk)
      await turns(3)
      assert.equal(isDone(), false)
      await release(`step:${step}`)
      assert.equal(String(await chunk), String(step))
    }
    await release('step:3')
    assert.equal(await response.next(), null)
  })
})

describe('reading', () => {
  const url = '/chunks/50/100'
  const expected = async () => (await handler.handleRequest({ url })).body

  test('by next(), which gives null at the end, again and again', { timeout }, async () => {
    const response = await handler.handleStream({ url })
    const chunks = []
    for (let chunk = await response.next(); chunk !== null; chunk = await response.next()) chunks.push(chunk)
    assert.ok((await expected()).equals(Buffer.concat(chunks)))
    assert.equal(await response.next(), null)
    assert.equal(await response.next(), null)
    assert.equal((await collect(response)).length, 0)
  })

  test('by several next() at once, answered in order', { timeout }, async () => {
    const response = await handler.handleStream({ url: '/flood/at-once/65536' })
    const chunks = await Promise.all([response.next(), response.next(), response.next(), response.next()])
    assert.deepEqual(chunks.map(chunk => chunk.length), [65536, 65536, 65536, 65536])
    response.stream().destroy()
    await noted('flood-over:at-once')
  })

  test('by next() first, then by iteration', { timeout }, async () => {
    const response = await handler.handleStream({ url: '/chunks/10/65536' })
    const first = await response.next()
    const rest = await collect(response)
    assert.ok((await handler.handleRequest({ url: '/chunks/10/65536' })).body.equals(Buffer.concat([first, rest])))
  })

  test('by a Readable', { timeout }, async () => {
    const response = await handler.handleStream({ url })
    const stream = response.stream()
    assert.equal(response.stream(), stream)
    const chunks = []
    stream.on('data', chunk => chunks.push(chunk))
    await once(stream, 'end')
    assert.ok((await expected()).equals(Buffer.concat(chunks)))
  })

  test('by a Readable of which some was read before', { timeout }, async () => {
    const response = await handler.handleStream({ url: '/chunks/10/65536' })
    const first = await response.next()
    const rest = await collect(response.stream())
    assert.equal(first.length + rest.length, 655_360)
  })

  test('by a web stream made of the Readable', { timeout }, async () => {
    const response = await handler.handleStream({ url })
    const body = new globalThis.Response(Readable.toWeb(response.stream()))
    assert.ok((await expected()).equals(Buffer.from(await body.arrayBuffer())))
  })

  test('of a streamed response that came whole', { timeout }, async () => {
    const response = await handler.handleStream({ url: '/echo' })
    assert.equal(String(await collect(response)), '"echo"')
    const again = await handler.handleStream({ url: '/echo' })
    assert.equal(String(await collect(again.stream())), '"echo"')
  })

  test('a body that is kept stays as it is while others arrive', { timeout }, async () => {
    const kept = []
    for await (const chunk of await handler.handleStream({ url: '/chunks/1000/1000' })) kept.push(chunk)
    for (let turn = 0; turn < 20; turn++) await collect(await handler.handleStream({ url: '/chunks/100/1000' }))
    assert.equal(sha256(Buffer.concat(kept)), await noted('chunks:1000/1000'))
  })
})

describe('a HEAD request', () => {
  for (const url of ['/head_method', '/head_method/parts']) {
    test(`gets the headers and no body: ${url}`, { timeout }, async () => {
      for (const response of [
        await handler.handleRequest({ method: 'HEAD', url }),
        await handler.handleStream({ method: 'head', url }),
        handler.handleRequestSync({ method: 'HEAD', url })
      ]) {
        assert.equal(response.headers.get('content-length'), '5')
        assert.equal((await collect(response)).length, 0)
      }
      assert.equal(await noted('head-answered'), true)
    })
  }
})

describe('backpressure', () => {
  for (const [size, most] of [[KIB, 64], [64 * KIB, 1], [MIB, 1]]) {
    test(`send waits while nobody reads chunks of ${size} bytes`, { timeout }, async () => {
      const name = `unread-${size}`
      const response = await handler.handleStream({ url: `/flood/${name}/${size}` })
      await turns(50)
      // `send` returns for what leaves the window (64 KiB) below its mark.
      const sent = await notedSoFar(`flood:${name}`) ?? 0
      assert.ok(sent <= most, `${sent} chunks were sent`)
      response.stream().destroy()
      await noted(`flood-over:${name}`)
    })
  }

  test('a reader that stops stops the application, and memory stays bounded', { timeout }, async () => {
    const response = await handler.handleStream({ url: `/flood/stops/${64 * KIB}` })
    for (let index = 0; index < 100; index++) await response.next()
    await turns(50)
    const stopped = await notedSoFar('flood:stops')
    assert.ok(stopped <= 103, `${stopped} chunks were sent`)
    await turns(50)
    assert.equal(await notedSoFar('flood:stops'), stopped)
    for (let index = 0; index < 100; index++) await response.next()
    await turns(50)
    assert.ok(await notedSoFar('flood:stops') <= 203)
    response.stream().destroy()
    await noted('flood-over:stops')
  })

  test('a Readable that is not read holds its window and what it buffers, no more', { timeout }, async t => {
    const response = await handler.handleStream({ url: `/flood/readable/${64 * KIB}` })
    const stream = response.stream()
    t.after(() => stream.destroy())
    await once(stream, 'readable')
    await turns(50)
    const sent = await notedSoFar('flood:readable') ?? 0
    assert.ok(sent <= 4, `${sent} chunks were sent`)
    stream.destroy()
    await noted('flood-over:readable')
  })

  test('a download of 625 MB that is read slowly does not grow the process', { timeout }, async () => {
    const response = await handler.handleStream({ url: `/flood/slow/${64 * KIB}` })
    const before = process.memoryUsage().rss
    let length = 0
    let most = 0
    for await (const chunk of response) {
      length += chunk.length
      if (length % (8 * MIB) === 0) most = Math.max(most, process.memoryUsage().rss)
    }
    assert.equal(length, 10_000 * 64 * KIB)
    assert.ok(most - before < 300 * MIB, `grew by ${Math.round((most - before) / MIB)} MiB`)
  })

  test('one slow reader does not hold others up', { timeout }, async () => {
    const slow = await handler.handleStream({ url: `/flood/blocked/${64 * KIB}` })
    await turns()
    assert.equal(json(await handler.handleRequest({ url: '/echo' })), 'echo')
    assert.equal((await collect(await handler.handleStream({ url: '/chunks/100/10000' }))).length, 1_000_000)
    slow.stream().destroy()
    await noted('flood-over:blocked')
  })

  test('a hundred streams at once are each whole', { timeout }, async () => {
    const bodies = await Promise.all(Array.from({ length: 100 }, async () => collect(await handler.handleStream({ url: '/chunks/200/5000' }))))
    const expected = await noted('chunks:200/5000')
    for (const body of bodies) assert.equal(sha256(body), expected)
  })
})

describe('a body that nobody reads at the moment', () => {
  /** A stream with parts that wait, and a controller that ends it. */
  async function stalled (options) {
    const own = serve('script:app', { responseTimeout: 0, disconnectGrace: 10, ...options })
    const controller = new AbortController()
    const steps = [start(), part('a'), part('b'), ['forever', unique('never')]]
    const response = await own.handleStream({ url: script(...steps) }, controller)
    return { own, response, controller }
  }

  test('ends at once where it is aborted: stream(), next(), a pipeline that is stuck', { timeout }, async () => {
    const reason = new RangeError('enough')
    for (const read of [
      ({ response }) => once(response.stream(), 'close'),
      ({ response }) => pipeline(response.stream(), new Writable({ highWaterMark: 1, write () {} }))
    ]) {
      const one = await stalled()
      const ended = read(one)
      await turns(2)
      one.controller.abort(reason)
      await assert.rejects(ended, reason)
      await assert.rejects(one.response.next(), reason)
    }
  })

  test('ends when its handler closes, and when nothing moves for idleTimeout', { timeout }, async () => {
    const one = await stalled()
    const failed = assert.rejects(once(one.response.stream(), 'close'), failure('ERR_PYTHON_CLOSED'))
    await one.own.close({ timeout: 20 })
    await failed
    const idle = await stalled({ idleTimeout: 50 })
    await assert.rejects(once(idle.response.stream(), 'close'), failure('ERR_PYTHON_IDLE_TIMEOUT'))
  })

  test('ends also for a reason that is no error', { timeout }, async () => {
    for (const reason of [null, 0, '', 'text', { any: 'object' }]) {
      const { response, controller } = await stalled()
      const failed = once(response.stream(), 'close')
      controller.abort(reason)
      await assert.rejects(failed, { name: 'AbortError', cause: reason })
      assert.equal(typeof response.exception, 'string')
      assert.equal(response.toJSON().exception, response.exception)
      await assert.rejects(response.next(), error => error === reason)
    }
  })

  test('ends when it is wrapped, and the wrapper is dropped before it has read', { timeout }, async () => {
    for (const drop of [
      response => Readable.from(response).destroy(),
      response => ReadableStream.from(response).cancel(),
      response => response[Symbol.asyncIterator]().return()
    ]) {
      const { own, response } = await stalled()
      await drop(response)
      while (own.stats().inFlight > 0) await turns(1)
      assert.equal(own.stats().openStreams, 0)
    }
  })
})

for (const highWaterMark of [1, 100, 8192, 16384]) {
  test(`a window of ${highWaterMark} bytes lets everything pass`, { timeout }, async () => {
    const own = serve('script:app', { highWaterMark })
    const steps = [start(), ...Array.from({ length: 50 }, () => part('x'.repeat(100))), body()]
    for (const read of [response => collect(response), response => collect(response.stream())]) {
      assert.equal((await read(await own.handleStream({ url: script(...steps) }))).length, 5_000)
    }
  })
}

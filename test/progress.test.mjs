// `onUploadProgress` and `onDownloadProgress`: bytes so far, the total if it is known, once in a turn of the event loop.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { Readable } from 'node:stream'
import { after, describe, test } from 'node:test'
import { Request } from '../index.js'
import { collect, release, serve, timeout, turns } from './fixtures.mjs'
import { runFixture } from './processes.mjs'
import { body, pairs, part, script, start, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0 })

after(() => handler.close({ timeout: 1000 }))

const swallow = () => script(['swallow', unique('body')], start(), body())

/** A callback that keeps what it was told, and how many turns of the event loop it took. */
function watchProgress (t) {
  const seen = []
  let turn = 0
  let running = true
  const next = () => {
    turn++
    if (running) setImmediate(next)
  }
  setImmediate(next)
  const turnsOf = []
  const callback = progress => {
    seen.push(progress)
    turnsOf.push(turn)
  }
  t.after(() => { running = false })
  return { callback, seen, turnsOf }
}

/** The last report comes in a turn of its own. */
const nextTurn = async () => {
  await new Promise(setImmediate)
  await new Promise(setImmediate)
}

function checkRising (seen) {
  for (let index = 1; index < seen.length; index++) assert.ok(seen[index].loaded > seen[index - 1].loaded)
}

describe('upload', () => {
  test('of a complete body is told once', { timeout }, async t => {
    const { callback, seen } = watchProgress(t)
    await handler.handleRequest({ method: 'POST', url: swallow(), body: 'grüße' }, { onUploadProgress: callback })
    await nextTurn()
    assert.deepEqual(seen, [{ loaded: 7, total: 7 }])
  })

  for (const [what, headers, total] of [
    ['without a length', {}, null],
    ['with a content-length', { 'content-length': '300000' }, 300_000]
  ]) {
    test(`of a stream ${what} rises to its end`, { timeout }, async t => {
      const { callback, seen } = watchProgress(t)
      const source = Readable.from(Array.from({ length: 30 }, () => Buffer.alloc(10_000)))
      await handler.handleRequest({ method: 'POST', url: swallow(), headers, body: source }, { onUploadProgress: callback })
      await nextTurn()
      checkRising(seen)
      assert.deepEqual(seen.at(-1), { loaded: 300_000, total })
      for (const progress of seen) assert.equal(progress.total, total)
    })
  }

  test('of many writes is told at most once in a turn', { timeout }, async t => {
    const { callback, seen, turnsOf } = watchProgress(t)
    const request = new Request({ method: 'POST', url: swallow() })
    const response = handler.handleStream(request, { onUploadProgress: callback })
    for (let count = 0; count < 1000; count++) request.write('x')
    assert.deepEqual(seen, [])
    await nextTurn()
    assert.deepEqual(seen, [{ loaded: 1000, total: null }])
    await request.write('xy')
    await request.end()
    await (await response).next()
    await nextTurn()
    assert.deepEqual(seen.at(-1), { loaded: 1002, total: null })
    assert.equal(new Set(turnsOf).size, turnsOf.length)
  })

  test('counts what was written before the request was handled', { timeout }, async t => {
    const { callback, seen } = watchProgress(t)
    const request = new Request({ method: 'POST', url: swallow() })
    await request.write('early')
    await request.end()
    await handler.handleRequest(request, { onUploadProgress: callback })
    await nextTurn()
    assert.deepEqual(seen.at(-1), { loaded: 5, total: 5 })
  })
})

describe('download', () => {
  test('of a buffered response is told once', { timeout }, async t => {
    const { callback, seen } = watchProgress(t)
    await handler.handleRequest({ url: script(start(), part('abc'), body('de')) }, { onDownloadProgress: callback })
    assert.deepEqual(seen, [{ loaded: 5, total: 5 }], 'before the promise is kept')
    await nextTurn()
    assert.equal(seen.length, 1)
  })

  test('of a buffered response is told in the caller\'s context', { timeout }, async () => {
    const storage = new AsyncLocalStorage()
    const contexts = []
    await storage.run('caller', () => handler.handleRequest({ url: script(start(), body('abc')) }, {
      onDownloadProgress () { contexts.push(storage.getStore()) }
    }))
    assert.deepEqual(contexts, ['caller'])
  })

  test('of a buffered response: what the callback throws is uncaught, and stops nothing', { timeout }, async () => {
    const { stdout, stderr } = await runFixture('throwing.mjs', ['progress'])
    const { lost, uncaught, own } = JSON.parse(stdout)
    assert.deepEqual({ lost, uncaught, own }, { lost: [], uncaught: ['from progress'], own: 'ok' }, stderr)
  })

  for (const [what, headers, total] of [
    ['without a length', {}, null],
    ['with a content-length', { 'content-length': '1638400' }, 1_638_400],
    ['with a content-length that is no number', { 'content-length': 'many' }, null]
  ]) {
    for (const [how, read] of [['next()', collect], ['a Readable', response => collect(response.stream())]]) {
      test(`of a stream ${what}, read by ${how}, rises to its end`, { timeout }, async t => {
        const { callback, seen, turnsOf } = watchProgress(t)
        const chunk = { type: 'http.response.body', body: { $zeros: 16_384 }, more_body: true }
        const response = await handler.handleStream({
          url: script(start({ headers: pairs(headers) }), ['repeat', 100, unique('sent'), chunk], body())
        }, { onDownloadProgress: callback })
        await read(response)
        await nextTurn()
        checkRising(seen)
        assert.deepEqual(seen.at(-1), { loaded: 1_638_400, total })
        assert.equal(new Set(turnsOf).size, turnsOf.length)
      })
    }
  }

  test('counts what was read, not what has arrived', { timeout }, async t => {
    const { callback, seen } = watchProgress(t)
    const name = unique('go')
    const response = await handler.handleStream({ url: script(start(), part('abc'), ['released', name], part('de'), body()) }, { onDownloadProgress: callback })
    await turns()
    assert.deepEqual(seen, [])
    await response.next()
    await nextTurn()
    assert.deepEqual(seen, [{ loaded: 3, total: null }])
    await release(name)
    await collect(response)
    await nextTurn()
    assert.deepEqual(seen.at(-1), { loaded: 5, total: null })
  })

  test('counts files', { timeout }, async t => {
    const { callback, seen } = watchProgress(t)
    const response = await handler.handleStream({
      url: script(start(), part('abc'), ['open', process.execPath], ['send_file', { count: 100_000, more_body: true }], body('de'), ['close_file'])
    }, { onDownloadProgress: callback })
    await collect(response)
    await nextTurn()
    assert.deepEqual(seen.at(-1), { loaded: 100_005, total: null })
  })

  test('of a stream that came whole is told', { timeout }, async t => {
    const { callback, seen } = watchProgress(t)
    const response = await handler.handleStream({ url: script(start(), body('abc')) }, { onDownloadProgress: callback })
    await collect(response)
    await nextTurn()
    assert.deepEqual(seen, [{ loaded: 3, total: 3 }])
  })
})

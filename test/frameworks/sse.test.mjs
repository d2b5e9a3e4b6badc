// Server-sent events from a source that waits: apps/sse_app.py. The head and each event have to arrive while the
// application waits for the next.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { EventSource } from 'undici'
import { pythonClient, readUntil, serve, throughEach, timeout } from './faces.mjs'

const service = await serve('sse_app:app', { disconnectGrace: 20 })
const { handler, origin, errors } = service

async function noted (name) {
  return JSON.parse((await handler.handleRequest({ url: `/noted/${name}` })).body)
}

function release (name) {
  return handler.handleRequest({ url: `/release/${name}` })
}

throughEach(service, ({ name: face, open }) => {
  test('the head comes before the first event, each event before the next', { timeout }, async () => {
    const { status, body } = await open(`/events/${face}`)
    assert.equal(status, 200)
    const reader = body[Symbol.asyncIterator]()
    for (const number of [1, 2, 3]) {
      await release(`${face}-${number - 1}`)
      assert.equal(await readUntil(reader, '\n\n'), `id: ${number}\nevent: leaf\ndata: leaf ${number}\n\n`)
    }
    assert.equal((await reader.next()).done, true)
  })

  test('a client that leaves while the source waits ends the source', { timeout }, async () => {
    const { body } = await open(`/events/${face}-left`)
    const reader = body[Symbol.asyncIterator]()
    await release(`${face}-left-0`)
    await readUntil(reader, '\n\n')
    await reader.return()
    assert.equal(await noted(`${face}-left`), 1)
  })

  test('a client that leaves before the first event ends the source', { timeout }, async () => {
    const { body } = await open(`/events/${face}-early`)
    if (typeof body.destroy === 'function') body.destroy()
    else await body.cancel()
    assert.equal(await noted(`${face}-early`), 0)
  })

  test('sse-starlette: pings while the source waits, and its end', { timeout }, async () => {
    const { body } = await open(`/pings/${face}-pings`)
    const reader = body[Symbol.asyncIterator]()
    assert.match(await readUntil(reader, ': ping'), /^event: leaf\r\ndata: first\r\n\r\n/)
    await reader.return()
    assert.equal(await noted(`${face}-pings`), 'closed')
  })
})

test('many streams wait at the same time', { timeout }, async () => {
  const names = Array.from({ length: 200 }, (_, index) => `many-${index}`)
  const streams = await Promise.all(names.map(name => handler.handleStream({ url: `/events/${name}` })))
  for (const number of [0, 1, 2]) {
    await Promise.all(names.map(name => release(`${name}-${number}`)))
    const events = await Promise.all(streams.map(stream => stream.next()))
    assert.ok(events.every(event => String(event).startsWith(`id: ${number + 1}\n`)))
  }
  const ends = await Promise.all(streams.map(stream => stream.next()))
  assert.ok(ends.every(end => end === null))
})

test('EventSource comes back with the id of its last event', { timeout }, async t => {
  const source = new EventSource(`${origin}/forever`)
  t.after(() => source.close())
  const seen = []
  await new Promise((resolve, reject) => {
    source.onmessage = ({ data, lastEventId }) => {
      seen.push([data, lastEventId])
      if (seen.length === 3) resolve()
    }
    source.onerror = ({ error }) => { if (error) reject(error) }
  })
  assert.deepEqual(seen, [['again 1', '1'], ['again 2', '2'], ['again 3', '3']])
})

test('curl shows each event as it comes, and ends the source when it is stopped', { timeout }, async t => {
  const child = spawn('curl', ['--silent', '--no-buffer', '--noproxy', '*', `${origin}/events/curl`], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill())
  const reader = child.stdout[Symbol.asyncIterator]()
  for (const number of [1, 2]) {
    await release(`curl-${number - 1}`)
    assert.match(await readUntil(reader, '\n\n'), new RegExp(`data: leaf ${number}\n`))
  }
  child.kill()
  await once(child, 'close')
  assert.equal(await noted('curl'), 2)
})

test('httpx reads each event as it comes', { timeout }, async () => {
  assert.deepEqual(await pythonClient('httpx_events', origin, 'httpx'),
    ['text/event-stream; charset=utf-8', 'leaf 1', 'leaf 2', 'leaf 3'])
})

test('nothing of this was an error to the listener', () => {
  assert.deepEqual(errors.filter(({ code }) => code !== 'ERR_PYTHON_CLIENT_DISCONNECTED'), [])
})

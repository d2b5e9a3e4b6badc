// Requests that end early: by a timeout, also while the Python thread is stuck, and by their caller at every stage; what
// the application sees of it, and what is left of it (asgiref, specs/www.rst, "Disconnected Client - send exception").

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { Request } from '../index.js'
import { collect, docroot, failure, noted, notedSoFar, release, serve, timeout, turns, watch } from './fixtures.mjs'
import { accept, body, once, part, script, start, text, unique } from './script.mjs'

const patient = serve('script:app', { responseTimeout: 0, highWaterMark: 65_536 })
const hasty = serve('script:app', { responseTimeout: 100 })
const idle = serve('script:app', { responseTimeout: 0, idleTimeout: 200, highWaterMark: 65_536 })
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'python-node-'))

after(async () => {
  for (const handler of [patient, hasty, idle]) await handler.close({ timeout: 1000 })
  fs.rmSync(folder, { recursive: true })
})

const OS_ERROR = ['ClientDisconnected', 'OSError', 'Exception', 'BaseException', 'object']
const late = failure('ERR_PYTHON_RESPONSE_TIMEOUT')
const tooIdle = failure('ERR_PYTHON_IDLE_TIMEOUT')

/** Runs something while the Python thread is held up; lets it go when that has settled. */
async function whileStuck (how, run) {
  const file = path.join(folder, unique('file'))
  const holding = patient.handleRequest({ url: script(['block', how, file], start(), body()) })
  await new Promise(resolve => setTimeout(resolve, 20))
  try {
    await run()
  } finally {
    fs.writeFileSync(file, '')
  }
  assert.equal((await holding).status, 200)
}

describe('responseTimeout', () => {
  test('rejects, and cancels the task at once', { timeout }, async () => {
    const name = unique('cancelled')
    await assert.rejects(hasty.handleRequest({ url: script(['forever', name]) }), late)
    assert.equal(await noted(name), true)
  })

  test('counts to the end of a buffered response, to the head of a stream', { timeout }, async () => {
    await assert.rejects(hasty.handleRequest({ url: script(start(), part('one'), ['forever', unique('never')]) }), late)
    const response = await hasty.handleStream({ url: script(start(), part('one'), ['sleep', 0.3], body('two')) })
    assert.equal(String(await collect(response)), 'onetwo')
  })

  test('counts for a WebSocket to its accept', { timeout }, async () => {
    const name = unique('cancelled')
    await assert.rejects(hasty.handleStream(new Request({ url: script(['receive'], ['forever', name]), websocket: true })), late)
    assert.equal(await noted(name), true)
    const socket = await hasty.handleStream(new Request({ url: script(...accept(), ['sleep', 0.3], text('late')), websocket: true }))
    assert.equal(String(await socket.next()), 'late')
    const refused = hasty.connect(script(['receive'], ['forever', unique('never')]))
    assert.equal((await once(refused, 'error')).error.code, 'ERR_PYTHON_RESPONSE_TIMEOUT')
  })

  // Scenario: an upload of a minute, by a client that sends all the time, was a 504 after 30 s.
  for (const method of ['handleRequest', 'handleStream']) {
    test(`counts anew from each part of the request body: ${method}`, { timeout }, async () => {
      async function * parts () {
        for (let count = 0; count < 10; count++) {
          yield Buffer.from('x')
          await new Promise(resolve => setTimeout(resolve, 25))
        }
      }
      const answer = await hasty[method]({ method: 'POST', url: script(['swallow', unique('parts')], start(), body('all')), body: parts() })
      assert.equal(String(answer.body ?? await collect(answer)), 'all')
    })
  }

  test('rejects a request whose body stalls, and one whose application does not answer after it', { timeout }, async () => {
    for (const end of [() => {}, request => request.end()]) {
      const name = unique('cancelled')
      const request = new Request({ method: 'POST', url: script(['receive'], ['forever', name]) })
      const answer = assert.rejects(hasty.handleStream(request), late)
      await request.write('x')
      await end(request)
      await answer
      assert.equal(await noted(name), true)
    }
  })

  test('does not count anew from a message to a WebSocket', { timeout }, async () => {
    const request = new Request({ url: script(['receive'], ['forever', unique('never')]), websocket: true })
    const rejected = assert.rejects(hasty.handleStream(request), late)
    const writing = setInterval(() => request.write('x').catch(() => {}), 20)
    await rejected
    clearInterval(writing)
  })

  test('of 0 is none', { timeout }, async () => {
    const name = unique('go')
    const response = patient.handleRequest({ url: script(['released', name], start(), body()) })
    await new Promise(resolve => setTimeout(resolve, 200))
    await release(name)
    assert.equal((await response).status, 200)
  })

  for (const how of ['sleep', 'cpu']) {
    test(`rejects on time while the Python thread is stuck (${how}), and the request never begins`, { timeout }, async () => {
      const name = unique('begun')
      await whileStuck(how, async () => {
        const url = script(['note', name], start(), body())
        await assert.rejects(hasty.handleRequest({ url }), late)
        await assert.rejects(hasty.handleStream({ url }), late)
        await assert.rejects(hasty.handleStream(new Request({ url, websocket: true })), late)
        assert.throws(() => hasty.handleRequestSync({ url }), late)
      })
      await turns()
      assert.equal(await notedSoFar(name), null)
    })

    test(`rejects on time while its own application is stuck (${how}), which is cleaned up when it comes back`, { timeout }, async () => {
      const file = path.join(folder, unique('file'))
      const name = unique('cancelled')
      const request = hasty.handleRequest({ url: script(['block', how, file], ['forever', name]) })
      await assert.rejects(request, late)
      fs.writeFileSync(file, '')
      assert.equal(await noted(name), true)
      assert.equal((await hasty.handleRequest({ url: script(start(), body()) })).status, 200)
    })
  }
})

describe('idleTimeout', () => {
  test('fails a stream whose application falls silent, and cancels its task', { timeout }, async () => {
    const name = unique('cancelled')
    const response = await idle.handleStream({ url: script(start(), part('one'), ['forever', name]) })
    assert.equal(String(await response.next()), 'one')
    await assert.rejects(response.next(), tooIdle)
    assert.equal(await noted(name), true)
  })

  test('fails a stream that nobody reads', { timeout }, async () => {
    const name = unique('sent')
    const response = await idle.handleStream({
      url: script(start(), ['repeat', 100, name, { type: 'http.response.body', body: { $zeros: 65_536 }, more_body: true }], body())
    })
    await new Promise(resolve => setTimeout(resolve, 600))
    await assert.rejects(collect(response), tooIdle)
  })

  test('does not fail a stream that goes on', { timeout }, async () => {
    const steps = Array.from({ length: 12 }, () => [part('x'), ['sleep', 0.05]]).flat()
    const response = await idle.handleStream({ url: script(start(), ...steps, body('end')) })
    assert.equal(String(await collect(response)), 'x'.repeat(12) + 'end')
  })

  // Scenario: a long upload whose response has begun; the application takes every part as it comes.
  test('does not fail a stream whose request body goes on', { timeout }, async () => {
    const name = unique('end')
    const request = new Request({ method: 'POST', url: script(start(), part('one'), ['swallow', name], body('two')) })
    const response = await idle.handleStream(request)
    for (let count = 0; count < 12; count++) {
      await request.write('x')
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    await request.end()
    assert.equal(String(await collect(response)), 'onetwo')
  })

  test('does not fail a stream whose file is read slowly', { timeout }, async () => {
    const name = unique('go')
    const response = await idle.handleStream({
      url: script(['open', process.execPath], start(), ['send_file', { count: 786_432, more_body: true }], ['released', name], body('end'), ['close_file'])
    })
    let length = 0
    for (let count = 0; count < 12; count++) {
      length += (await response.next()).length
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    await release(name)
    length += (await collect(response)).length
    assert.equal(length, 786_435)
  })

  for (const [what, steps] of [
    ['a path', [start(), ['send', { type: 'http.response.pathsend', path: process.execPath }]]],
    ['a descriptor', [['open', process.execPath], start(), ['send_file', { count: 8 * 2 ** 20 }], ['close_file']]]
  ]) {
    test(`fails a file that nobody reads on, also after the application's end: ${what}`, { timeout }, async () => {
      const response = await idle.handleStream({ url: script(...steps) })
      assert.ok((await response.next()).length > 0)
      await new Promise(resolve => setTimeout(resolve, 600))
      await assert.rejects(response.next(), tooIdle)
    })

    test(`does not fail a file that is read slowly, also after the application's end: ${what}`, { timeout }, async () => {
      const response = await idle.handleStream({ url: script(...steps) })
      for (let count = 0; count < 12; count++) {
        assert.equal((await response.next()).length, 65_536)
        await new Promise(resolve => setTimeout(resolve, 50))
      }
      response.cancel()
    })
  }

  test('does not count before the head, nor for a WebSocket', { timeout }, async () => {
    const response = await idle.handleStream({ url: script(['sleep', 0.4], start(), body('late')) })
    assert.equal(String(await collect(response)), 'late')
    const steps = [...accept(), text('first'), ['receive'], ['sleep', 0.4], text('late')]
    const request = new Request({ url: script(...steps), websocket: true })
    const socket = await idle.handleStream(request)
    assert.equal(String(await socket.next()), 'first')
    await request.write('go')
    assert.equal(String(await socket.next()), 'late')
  })

  for (const how of ['sleep', 'cpu']) {
    test(`fails on time while the Python thread is stuck (${how})`, { timeout }, async () => {
      const name = unique('cancelled')
      const response = await idle.handleStream({ url: script(start(), part('one'), ['forever', name]) })
      await response.next()
      await whileStuck(how, () => assert.rejects(response.next(), tooIdle))
      assert.equal(await noted(name), true)
    })
  }
})

describe('an AbortSignal', () => {
  const reason = new RangeError('enough')

  for (const [what, make] of [
    ['handleRequest', (url, options) => patient.handleRequest({ url }, options)],
    ['handleStream', (url, options) => patient.handleStream({ url }, options)],
    ['fetch', (url, options) => patient.fetch(url, options)]
  ]) {
    test(`that was aborted before: ${what} rejects, the application is not called`, { timeout }, async () => {
      const name = unique('called')
      await assert.rejects(make(script(['note', name], start(), body()), { signal: AbortSignal.abort(reason) }), reason)
      await turns()
      assert.equal(await notedSoFar(name), null)
    })

    test(`in the turn of the call: ${what} rejects, the application is not called`, { timeout }, async () => {
      const name = unique('called')
      await whileStuck('sleep', async () => {
        const controller = new AbortController()
        const request = make(script(['note', name], start(), body()), { signal: controller.signal })
        controller.abort(reason)
        await assert.rejects(request, reason)
      })
      await turns()
      assert.equal(await notedSoFar(name), null)
    })

    test(`while the application works: ${what} rejects at once, the application sees the disconnect`, { timeout }, async () => {
      const name = unique('end')
      const controller = new AbortController()
      const request = make(script(['receive'], ['note', `${name}.begun`], ['receive', name]), { signal: controller.signal })
      await noted(`${name}.begun`)
      controller.abort(reason)
      await assert.rejects(request, reason)
      assert.deepEqual(await noted(name), { type: 'http.disconnect' })
    })

    test(`while Python is stuck: ${what} rejects at once`, { timeout }, async () => {
      const name = unique('end')
      const controller = new AbortController()
      const request = make(script(['receive'], ['note', `${name}.begun`], ['receive', name]), { signal: controller.signal })
      await noted(`${name}.begun`)
      await whileStuck('cpu', async () => {
        controller.abort(reason)
        await assert.rejects(request, reason)
      })
      assert.deepEqual(await noted(name), { type: 'http.disconnect' })
    })
  }

  test('gives its own reasons: AbortError and TimeoutError', { timeout }, async () => {
    await assert.rejects(patient.handleRequest({ url: script(['forever', unique('never')]) }, AbortSignal.timeout(20)), { name: 'TimeoutError' })
    await assert.rejects(patient.handleRequest({ url: script() }, AbortSignal.abort()), { name: 'AbortError' })
    await assert.rejects(patient.handleRequest({ url: script() }, AbortSignal.abort('text')), error => error === 'text')
  })

  test('after the response changes nothing', { timeout }, async () => {
    const controller = new AbortController()
    const response = await patient.handleRequest({ url: script(start(), body('all')) }, controller)
    controller.abort(reason)
    assert.equal(String(response.body), 'all')
  })

  test('in the middle of the request body ends its writing', { timeout }, async () => {
    const name = unique('end')
    const controller = new AbortController()
    const request = new Request({ method: 'POST', url: script(['receive'], ['receive', name]) })
    const response = patient.handleStream(request, controller)
    await request.write('one')
    const written = request.write(Buffer.alloc(200_000))
    controller.abort(reason)
    await assert.rejects(response, reason)
    await written
  })
})

describe('after the client has gone', () => {
  for (const [what, leave] of [
    ['an aborted request', async (steps, before) => {
      const controller = new AbortController()
      const request = assert.rejects(patient.handleRequest({ url: script(...steps) }, controller))
      await before()
      controller.abort()
      await request
    }],
    ['a stream that was left', async (steps, before) => {
      const response = await patient.handleStream({ url: script(start(), part('one'), ...steps) })
      for await (const chunk of response) {
        assert.equal(String(chunk), 'one')
        break
      }
      await before()
    }],
    ['a Readable that was destroyed', async (steps, before) => {
      const response = await patient.handleStream({ url: script(start(), part('one'), ...steps) })
      response.stream().destroy()
      await before()
    }]
  ]) {
    test(`send raises a subclass of OSError: ${what}`, { timeout }, async () => {
      const name = unique('send')
      const message = what === 'an aborted request' ? start()[1] : part('two')[1]
      await leave([['receive'], ['note', `${name}.begun`], ['receive'], ['attempt', name, message], ['attempt', `${name}.again`, message]],
        () => noted(`${name}.begun`))
      assert.deepEqual(await noted(name), OS_ERROR)
      assert.deepEqual(await noted(`${name}.again`), OS_ERROR)
    })
  }

  test('the task is cancelled after the grace, not before', { timeout }, async () => {
    const handler = serve('script:app', { disconnectGrace: 150 })
    const name = unique('cancelled')
    const controller = new AbortController()
    const request = handler.handleRequest({ url: script(['forever', name]) }, controller)
    await noted(`${name}.waits`)
    const begin = performance.now()
    controller.abort()
    await assert.rejects(request)
    await noted(name)
    assert.ok(performance.now() - begin >= 140)
  })

  test('the task is cancelled at once with a grace of 0', { timeout }, async () => {
    const handler = serve('script:app', { disconnectGrace: 0 })
    const name = unique('cancelled')
    const controller = new AbortController()
    const request = handler.handleRequest({ url: script(['forever', name]) }, controller)
    await noted(`${name}.waits`)
    controller.abort()
    await assert.rejects(request)
    assert.equal(await noted(name), true)
  })

  test('an application that ends within the grace is left alone', { timeout }, async () => {
    const name = unique('end')
    const controller = new AbortController()
    const request = patient.handleRequest({ url: script(['receive'], ['note', `${name}.begun`], ['receive'], ['sleep', 0.1], ['note', name]) }, controller)
    await noted(`${name}.begun`)
    controller.abort()
    await assert.rejects(request)
    assert.equal(await noted(name), true)
  })

  test('nothing of it reaches a later request', { timeout }, async () => {
    for (let round = 0; round < 100; round++) {
      const controller = new AbortController()
      const aborted = patient.handleRequest({ url: script(['sleep', 0], start({ status: 500 }), body('aborted')) }, controller)
      if (round % 2 === 1) await new Promise(setImmediate)
      controller.abort()
      const kept = patient.handleRequest({ url: script(['sleep', 0], start(), body(`kept ${round}`)) })
      await aborted.catch(() => {})
      assert.equal(String((await kept).body), `kept ${round}`)
    }
  })
})

describe('stderr', () => {
  /** What a Node process of its own writes while it runs a fixture. */
  async function stderrOf (...args) {
    const child = spawn(process.execPath, [path.join(docroot, 'disconnect.mjs'), ...args], { stdio: ['ignore', 'inherit', 'pipe'] })
    const written = collect(child.stderr)
    const ended = new Promise(resolve => child.on('close', resolve))
    const stderr = String(await written)
    assert.equal(await ended, 0, stderr)
    return stderr
  }

  for (const what of ['request', 'stream', 'websocket', 'waiting', 'wrapped', 'group', 'timeout']) {
    test(`stays empty when an application lets the error of send escape: ${what}`, { timeout }, async () => {
      assert.equal(await stderrOf(what), '')
    })
  }

  test('shows any other exception of an application whose client has gone', { timeout }, async () => {
    assert.match(await stderrOf('other'), /LookupError: not ours/)
  })
})

describe('context variables', () => {
  test('of one request are not seen by another, interleaved or later', { timeout }, async () => {
    const names = Array.from({ length: 10 }, () => unique('value'))
    await Promise.all(names.map(name => patient.handleRequest({
      url: script(['set_variable', name], ['sleep', 0], ['read_variable', name], ['read_variable_in_task', `${name}.task`], start(), ['sleep', 0], body())
    })))
    for (const name of names) {
      assert.equal(await noted(name), name)
      assert.equal(await noted(`${name}.task`), name)
    }
    const later = unique('later')
    await patient.handleRequest({ url: script(['read_variable', later], start(), body()) })
    assert.equal(await noted(later), 'unset')
  })

  test('that are set before the first wait are there after it', { timeout }, async () => {
    const name = unique('value')
    const settled = watch(patient.handleRequest({ url: script(['set_variable', 'mine'], ['released', name], ['read_variable', `${name}.seen`], start(), body()) }))
    await turns()
    assert.equal(settled(), false)
    await release(name)
    assert.equal(await noted(`${name}.seen`), 'mine')
  })
})

// Scenario: signals to JavaScript are held back while more requests wait; a step that blocks must not hold them for long.
for (const how of ['sleep', 'cpu']) {
  test(`an answer does not wait for a later request that blocks Python: ${how}`, { timeout }, async () => {
    const file = path.join(folder, unique('file'))
    const quick = () => patient.handleRequest({ url: script(start(), body('quick')) })
    await quick()
    // All are there when Python looks, and it is blocked until the first ones' answers are here.
    const before = [quick(), quick()]
    const blocking = patient.handleRequest({ url: script(['block', how, file], start(), body()) })
    const behind = [quick(), quick(), quick()]
    for (const answer of before) assert.equal(String((await answer).body), 'quick')
    fs.writeFileSync(file, '')
    await Promise.all([blocking, ...behind])
  })
}

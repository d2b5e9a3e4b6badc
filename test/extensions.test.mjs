// The extensions of asgiref's docs/extensions.rst over HTTP: each is announced only where the caller can honour it, and
// each message reaches the caller. (Denial responses: websocket.test.mjs.)

import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import v8 from 'node:v8'
import vm from 'node:vm'
import { Worker } from 'node:worker_threads'
import { collect, failure, noted, notedSoFar, release, serve, timeout, turns } from './fixtures.mjs'
import { body, bytes, pairs, part, script, start, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0 })
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'python-node-'))
const file = path.join(folder, 'dätei.bin')
const content = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251))
fs.writeFileSync(file, content)

after(async () => {
  await handler.close({ timeout: 1000 })
  fs.rmSync(folder, { recursive: true })
})

const stream = (steps, options) => handler.handleStream({ url: script(...steps) }, options)
const request = (steps, options) => handler.handleRequest({ url: script(...steps) }, options)

/** How many descriptors of this process are open on `file` or `folder`. */
function openFiles () {
  let count = 0
  for (const name of fs.readdirSync('/proc/self/fd')) {
    try {
      if (fs.readlinkSync(`/proc/self/fd/${name}`).startsWith(folder)) count++
    } catch {
      // The one that reads the folder is closed already.
    }
  }
  return count
}

const skip = process.platform !== 'linux' && 'reads /proc'

/** Runs something, and gives how many descriptors more are open after it than before. */
async function leaked (run) {
  let before
  // What the test before has left is closed by threads of Node's own.
  do {
    before = openFiles()
    await turns()
  } while (openFiles() !== before)
  await run()
  for (let turn = 0; turn < 200 && openFiles() > before; turn++) await turns(1)
  return openFiles() - before
}

const nothing = () => {}

/** Collects what nobody holds, and lets the finalizers run. */
async function collectGarbage () {
  v8.setFlagsFromString('--expose-gc')
  const collect = vm.runInNewContext('gc')
  for (let round = 0; round < 20; round++) {
    collect()
    await new Promise(setImmediate)
  }
}

describe('what is announced', () => {
  const always = ['http.response.trailers', 'python_node']
  const streamed = ['http.response.pathsend', 'http.response.trailers', 'http.response.zerocopysend', 'python_node']
  for (const [what, call, expected] of [
    ['handleRequest', steps => request(steps), always],
    ['handleRequest that takes no trailers', steps => request(steps, { trailers: false }), ['python_node']],
    ['handleRequestSync', async steps => handler.handleRequestSync({ url: script(...steps) }), ['python_node']],
    ['handleStream', steps => stream(steps), streamed],
    ['handleStream with a signal', steps => stream(steps, new AbortController()), streamed],
    ['handleStream that takes no trailers', steps => stream(steps, { trailers: false }), streamed.filter(name => !name.endsWith('trailers'))],
    ['handleStream with onEarlyHints', steps => stream(steps, { onEarlyHints: nothing }), ['http.response.early_hint', ...streamed]],
    ['handleStream with onPush', steps => stream(steps, { onPush: nothing }), ['http.response.push', ...streamed]],
    ['handleStream with onDebug', steps => stream(steps, { onDebug: nothing }), ['http.response.debug', ...streamed]],
    ['handleRequest with onEarlyHints', steps => request(steps, { onEarlyHints: nothing }), ['http.response.early_hint', ...always]],
    ['fetch', steps => handler.fetch(script(...steps)), ['http.response.debug', 'http.response.pathsend', 'http.response.zerocopysend', 'python_node']]
  ]) {
    test(`to ${what}`, { timeout }, async () => {
      const name = unique('scope')
      await call([['scope_as', name], start(), body()])
      const { extensions } = await noted(name)
      assert.deepEqual(Object.keys(extensions).sort(), [...expected].sort())
      for (const [key, value] of Object.entries(extensions)) if (key !== 'python_node') assert.deepEqual(value, {})
    })
  }

  for (const type of ['early_hint', 'push', 'debug', 'pathsend', 'zerocopysend', 'trailers']) {
    test(`http.response.${type} that was not is an unknown message`, { timeout }, async () => {
      const name = unique('refused')
      const message = { type: `http.response.${type}`, links: [], path: '/', headers: [], info: {}, file: 0 }
      await request([['attempt', name, message], start(), body()], { trailers: false })
      assert.equal((await noted(name))[0], 'ValueError')
    })
  }

  // Scenario: `trailers` in a start promises messages that a caller without them refuses, so the response never ended.
  test('a start with trailers that were not announced is complete with its body', { timeout }, async () => {
    const { status } = await request([start({ trailers: true }), body('all')], { trailers: false })
    assert.equal(status, 200)
    assert.equal(handler.handleRequestSync({ url: script(start({ trailers: true }), body('all')) }).status, 200)
  })

  test('a callback must be a function', { timeout }, async () => {
    for (const name of ['onEarlyHints', 'onPush', 'onDebug', 'onUploadProgress', 'onDownloadProgress']) {
      await assert.rejects(stream([start(), body()], { [name]: 'no function' }), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    }
  })
})

describe('trailers', () => {
  const trailers = (fields, more) => ['send', { type: 'http.response.trailers', headers: pairs(fields), ...more }]

  test('follow a buffered body', { timeout }, async () => {
    const response = await request([start({ trailers: true }), body('all'), trailers({ 'x-sum': '1' })])
    assert.equal(String(response.body), 'all')
    assert.deepEqual(response.trailers.entries(), [['x-sum', '1']])
  })

  test('follow a stream, and are there at its end', { timeout }, async () => {
    const response = await stream([start({ trailers: true }), part('one'), body('two'), trailers({ 'x-sum': '1' })])
    assert.equal(String(await collect(response)), 'onetwo')
    assert.deepEqual(response.trailers.entries(), [['x-sum', '1']])
  })

  test('may come in several messages, order and repeats kept', { timeout }, async () => {
    const response = await stream([
      start({ trailers: true }), body('all'), trailers({ b: '1' }, { more_trailers: true }),
      trailers({ a: '2' }, { more_trailers: true }), trailers({ b: '3' })
    ])
    await collect(response)
    assert.deepEqual(response.trailers.entries(), [['b', '1'], ['a', '2'], ['b', '3']])
  })

  test('are waited for', { timeout }, async () => {
    const name = unique('go')
    const response = await stream([start({ trailers: true }), body('all'), ['note', `${name}.sent`], ['released', name], trailers({ a: 'b' })])
    assert.equal(String(await response.next()), 'all')
    await noted(`${name}.sent`)
    assert.equal(response.trailers, null)
    const end = response.next()
    await release(name)
    assert.equal(await end, null)
    assert.deepEqual(response.trailers.entries(), [['a', 'b']])
  })

  test('are null where there are none', { timeout }, async () => {
    assert.equal((await request([start(), body()])).trailers, null)
  })

  test('may be without headers', { timeout }, async () => {
    const response = await request([start({ trailers: true }), body('all'), ['send', { type: 'http.response.trailers' }]])
    assert.equal(String(response.body), 'all')
  })

  test('that were promised and do not come are an incomplete response', { timeout }, async () => {
    await assert.rejects(request([start({ trailers: true }), body('all')]), failure('ERR_PYTHON_INCOMPLETE_RESPONSE'))
    const response = await stream([start({ trailers: true }), part('one'), body('two')])
    await assert.rejects(collect(response), failure('ERR_PYTHON_INCOMPLETE_RESPONSE'))
  })

  test('that were not promised are refused before the end, and ignored after it', { timeout }, async () => {
    const name = unique('refused')
    const message = { type: 'http.response.trailers', headers: [] }
    const response = await request([start(), ['attempt', name, message], body('all'), ['attempt', `${name}.after`, message]])
    assert.equal((await noted(name))[0], 'RuntimeError')
    assert.deepEqual(await noted(`${name}.after`), [])
    assert.equal(response.trailers, null)
  })

  for (const [what, headers] of [['a pseudo-header', pairs({ ':path': '/' })], ['a line break', pairs({ a: 'b\nc: d' })], ['str', [['a', 'b']]]]) {
    test(`with ${what} are refused`, { timeout }, async () => {
      const name = unique('refused')
      await request([start({ trailers: true }), body('all'), ['attempt', name, { type: 'http.response.trailers', headers }], trailers({})])
      assert.ok(['TypeError', 'ValueError'].includes((await noted(name))[0]))
    })
  }
})

describe('early hints', () => {
  const hint = (...links) => ['send', { type: 'http.response.early_hint', links: links.map(bytes) }]

  test('come before the head, each once, with its links, and after it', { timeout }, async () => {
    const name = unique('go')
    const seen = []
    const response = await stream([start(), hint('</a.css>; rel=preload', '</b>; rel="x"'), hint('</c>'), part('one'), ['released', name], hint('</d>'), body('')], {
      onEarlyHints: hints => seen.push(hints)
    })
    assert.deepEqual(seen, [{ link: ['</a.css>; rel=preload', '</b>; rel="x"'] }, { link: ['</c>'] }])
    await release(name)
    await collect(response)
    assert.deepEqual(seen.slice(2), [{ link: ['</d>'] }])
  })

  test('come while the application works on the body', { timeout }, async () => {
    const name = unique('go')
    let response
    const hints = await new Promise(resolve => {
      response = stream([start(), hint('</a>'), ['released', name], body('late')], { onEarlyHints: resolve })
    })
    assert.deepEqual(hints, { link: ['</a>'] })
    await release(name)
    assert.equal(String(await collect(await response)), 'late')
  })

  test('with str, or a line break, are refused', { timeout }, async () => {
    for (const links of [['text'], [bytes('a\r\nb: c')], 1]) {
      const name = unique('refused')
      await stream([start(), ['attempt', name, { type: 'http.response.early_hint', links }], body()], { onEarlyHints: nothing })
      assert.ok(['TypeError', 'ValueError'].includes((await noted(name))[0]))
    }
  })

  test('after the last body are ignored', { timeout }, async () => {
    const name = unique('after')
    await stream([start(), body(), ['attempt', name, { type: 'http.response.early_hint', links: [] }]], { onEarlyHints: assert.fail })
    assert.deepEqual(await noted(name), [])
  })
})

describe('pushes', () => {
  const push = (path, fields) => ({ type: 'http.response.push', path, headers: pairs(fields) })

  test('have a path and headers', { timeout }, async () => {
    const seen = []
    const response = await stream([
      start(), ['send', push('/grüße 🎉', { accept: 'text/css', 'x-a': '\xff' })], part('one'), ['send', push('/b', {})], body()
    ], { onPush: ({ path, headers }) => seen.push([path, headers.entries()]) })
    await collect(response)
    assert.deepEqual(seen, [['/grüße 🎉', [['accept', 'text/css'], ['x-a', '\xff']]], ['/b', []]])
  })

  for (const [what, message] of [
    ['without a path', { type: 'http.response.push', headers: [] }],
    ['with a path of bytes', { type: 'http.response.push', path: bytes('/'), headers: [] }],
    ['with a path that is a number', { type: 'http.response.push', path: 1, headers: [] }],
    ['with a path of None', { type: 'http.response.push', path: null, headers: [] }],
    ['with a pseudo-header', push('/', { ':path': '/' })]
  ]) {
    test(`${what} are refused`, { timeout }, async () => {
      const name = unique('refused')
      const response = await stream([start(), ['attempt', name, message], body()], { onPush: nothing })
      await collect(response)
      assert.ok(['TypeError', 'ValueError'].includes((await noted(name))[0]), `${await noted(name)}`)
    })
  }
})

describe('debug information', () => {
  const debug = info => ['send', { type: 'http.response.debug', info }]

  test('comes before the head', { timeout }, async () => {
    const seen = []
    await request([debug({ template: 'a', list: [1, null, { ü: true }] }), start(), body()], { onDebug: info => seen.push(info) })
    assert.deepEqual(seen, [{ template: 'a', list: [1, null, { ü: true }] }])
  })

  test('may not come after the start', { timeout }, async () => {
    const name = unique('refused')
    await request([start(), ['attempt', name, debug({})[1]], body()], { onDebug: assert.fail })
    assert.equal((await noted(name))[0], 'RuntimeError')
  })

  // Scenario: Starlette's TemplateResponse puts the template and its context there, and failed with a TypeError.
  test('may hold what JSON cannot say', { timeout }, async () => {
    let seen
    const { status } = await request([debug({ name: 'a', template: { $object: 1 }, context: { request: { $object: 1 } } }), start(), body()], {
      onDebug: info => { seen = info }
    })
    assert.equal(status, 200)
    assert.equal(seen.name, 'a')
    assert.deepEqual(Object.keys(seen), ['name', 'template', 'context'])
  })

  for (const info of [1, null, [], 'text']) {
    test(`that is ${JSON.stringify(info)} is refused`, { timeout }, async () => {
      const name = unique('refused')
      await request([['attempt', name, debug(info)[1]], start(), body()], { onDebug: nothing })
      assert.equal((await noted(name))[0], 'TypeError')
    })
  }
})

describe('pathsend', () => {
  const send = path => ['send', { type: 'http.response.pathsend', path }]

  for (const [what, read] of [
    ['next()', collect],
    ['a Readable', response => collect(response.stream())]
  ]) {
    test(`sends a file, read by ${what}`, { timeout }, async () => {
      const response = await stream([start({ headers: pairs({ 'content-length': '200000' }) }), send(file)])
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('content-length'), '200000')
      assert.ok((await read(response)).equals(content))
    })
  }

  test('sends an empty file', { timeout }, async () => {
    const empty = path.join(folder, 'empty')
    fs.writeFileSync(empty, '')
    assert.equal((await collect(await stream([start(), send(empty)]))).length, 0)
  })

  test('sends a file whose name is not UTF-8', { timeout, skip: process.platform !== 'linux' }, async () => {
    const name = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])])
    fs.writeFileSync(name, 'odd')
    // As os.fsdecode gives it: surrogates for the bytes.
    assert.equal(String(await collect(await stream([start(), send(`${folder}/\udcff\udcfe`)]))), 'odd')
  })

  test('to HEAD sends no body', { timeout }, async () => {
    const response = await handler.handleStream({ method: 'HEAD', url: script(start(), send(file)) })
    assert.equal(await response.next(), null)
  })

  test('of a file that is not there ends the body with the system\'s error', { timeout }, async () => {
    const response = await stream([start(), send(path.join(folder, 'absent'))])
    await assert.rejects(response.next(), { code: 'ENOENT' })
    await assert.rejects(collect((await stream([start(), send(path.join(folder, 'absent'))])).stream()), { code: 'ENOENT' })
  })

  test('of a path that is not absolute ends the body with an error', { timeout }, async () => {
    const relative = path.relative(process.cwd(), file)
    await assert.rejects((await stream([start(), send(relative)])).next(), { code: 'ERR_PYTHON_INVALID_RESPONSE' })
  })

  // Scenario: a folder can be opened and not read, and its descriptor stayed open.
  test('of a folder is an error, and leaves nothing open', { timeout, skip }, async () => {
    assert.equal(await leaked(async () => {
      await assert.rejects((await stream([start(), send(folder)])).next(), { code: 'EISDIR' })
    }), 0)
  })

  for (const [what, read] of [
    ['to its end', async response => { await collect(response) }],
    ['to its end by a Readable', async response => { await collect(response.stream()) }],
    ['and left by an iteration', async response => {
      for await (const chunk of response) {
        assert.ok(chunk.length > 0)
        break
      }
    }],
    ['and left by a Readable', async response => {
      for await (const chunk of response.stream()) {
        assert.ok(chunk.length > 0)
        break
      }
    }],
    ['and cancelled', async response => {
      await response.next()
      response.cancel()
    }],
    ['and cancelled while it is opened', async response => {
      const next = response.next()
      response.cancel()
      assert.equal(await next, null)
    }],
    ['and cancelled while it is read', async response => {
      await response.next()
      const next = response.next()
      response.cancel()
      assert.equal(await next, null)
    }],
    ['and cancelled before', async response => response.cancel()]
  ]) {
    test(`read ${what} leaves nothing open`, { timeout, skip }, async () => {
      assert.equal(await leaked(async () => read(await stream([start(), send(file)]))), 0)
      assert.equal(await leaked(async () => read(await stream([['open', file], start(), ['send_file', {}], ['close_file']]))), 0)
    })
  }

  test('is not mixed with a body, and comes once', { timeout }, async () => {
    const name = unique('refused')
    const response = await stream([start(), part('one'), ['attempt', name, send(file)[1]], body('two')])
    assert.equal(String(await collect(response)), 'onetwo')
    assert.equal((await noted(name))[0], 'RuntimeError')
    const once = await stream([start(), send(file), ['attempt', `${name}.again`, send(file)[1]], ['attempt', `${name}.body`, body('x')[1]]])
    assert.ok((await collect(once)).equals(content))
    assert.deepEqual(await noted(`${name}.again`), [])
    assert.deepEqual(await noted(`${name}.body`), [])
  })

  test('may be followed by trailers', { timeout }, async () => {
    const response = await stream([start({ trailers: true }), send(file), ['send', { type: 'http.response.trailers', headers: pairs({ a: 'b' }) }]])
    assert.ok((await collect(response)).equals(content))
    assert.deepEqual(response.trailers.entries(), [['a', 'b']])
  })

  for (const path of [undefined, null, 1, [], bytes('/tmp')]) {
    test(`of a path that is ${JSON.stringify(path)} is refused`, { timeout }, async () => {
      const name = unique('refused')
      const response = await stream([start(), ['attempt', name, send(path)[1]], body('instead')])
      assert.ok(['TypeError', 'ValueError'].includes((await noted(name))[0]), `${await noted(name)}`)
      assert.equal(String(await collect(response)), 'instead')
    })
  }

  // Scenario: the application has ended, the file is still read: "the signal counts until the end of the body".
  test('is ended by an AbortSignal while the file is read', { timeout }, async () => {
    const controller = new AbortController()
    const response = await stream([start(), send(file)], controller)
    assert.ok((await response.next()).length > 0)
    const reason = new RangeError('enough')
    controller.abort(reason)
    await assert.rejects(collect(response), reason)
  })
})

describe('zerocopysend', () => {
  for (const [what, position, fields, expected] of [
    ['a whole file', 0, {}, content],
    ['a file from its position', 150_000, {}, content.subarray(150_000)],
    ['a file from an offset', 150_000, { offset: 100 }, content.subarray(100)],
    ['a count of bytes', 0, { count: 70_000 }, content.subarray(0, 70_000)],
    ['an offset and a count', 5, { offset: 10, count: 65_537 }, content.subarray(10, 65_547)],
    ['a count beyond the end', 0, { offset: 199_990, count: 1_000_000 }, content.subarray(199_990)],
    ['an offset beyond the end', 0, { offset: 300_000 }, Buffer.alloc(0)],
    ['a count of nothing', 0, { count: 0 }, Buffer.alloc(0)],
    ['None as offset and count', 199_999, { offset: null, count: null }, content.subarray(199_999)]
  ]) {
    test(`sends ${what}`, { timeout }, async () => {
      const response = await stream([['open', file, position], start(), ['send_file', fields], ['close_file']])
      assert.ok((await collect(response)).equals(expected))
    })
  }

  test('may be mixed with a body, and come several times', { timeout }, async () => {
    const more = { more_body: true }
    const response = await stream([
      ['open', file], start(), part('<'), ['send_file', { count: 10, ...more }], part('|'), ['send_file', { count: 10, ...more }],
      ['send_file', { offset: 0, count: 3, ...more }], body('>'), ['close_file']
    ])
    const expected = Buffer.concat([Buffer.from('<'), content.subarray(0, 10), Buffer.from('|'), content.subarray(10, 20), content.subarray(0, 3), Buffer.from('>')])
    assert.ok((await collect(response)).equals(expected))
  })

  // Scenario: the call counted as reading a file for ever, and idleTimeout failed it after its end.
  test('before the last bytes ends with them', { timeout }, async () => {
    const own = serve('script:app', { idleTimeout: 50 })
    const response = await own.handleStream({
      url: script(['open', file], start(), ['send_file', { count: 10, more_body: true }], body('>'), ['close_file'])
    })
    const first = await response.next()
    const last = await response.next()
    assert.equal(String(Buffer.concat([first, last])), `${content.subarray(0, 10)}>`)
    assert.equal(await response.next(), null)
    // The timer of another call with the same time is over later.
    await assert.rejects(own.handleStream({ url: script(start(), part('x'), ['forever', unique('never')]) }).then(collect), failure('ERR_PYTHON_IDLE_TIMEOUT'))
    assert.equal(await response.next(), null)
  })

  test('moves the position as os.sendfile does: only without an offset', { timeout }, async () => {
    const name = unique('position')
    const more = { more_body: true }
    const response = await stream([
      ['open', file, 5], start(), ['send_file', { offset: 100, count: 10, ...more }], ['position', `${name}.1`],
      ['send_file', { count: 10, ...more }], ['position', `${name}.2`], body(), ['close_file']
    ])
    await collect(response)
    assert.equal(await noted(`${name}.1`), 5)
    assert.equal(await noted(`${name}.2`), 15)
  })

  test('reads on after the application has closed its file', { timeout }, async () => {
    const name = unique('closed')
    const response = await stream([['open', file], start(), ['send_file', {}], ['close_file'], ['note', name]])
    await noted(name)
    assert.ok((await collect(response)).equals(content))
  })

  for (const fields of [{ offset: -1 }, { count: -1 }, { offset: '1' }, { file: null }, { file: 'name' }, { file: { $object: 1 } }, { file: -1 }]) {
    test(`with ${JSON.stringify(fields)} is refused`, { timeout, skip }, async () => {
      const name = unique('refused')
      assert.equal(await leaked(async () => {
        const response = await stream([
          ['open', file], start(), ['attempt_file', name, fields], body('instead'), ['close_file']
        ])
        assert.notDeepEqual(await noted(name), [])
        assert.equal(String(await collect(response)), 'instead')
      }), 0)
    })
  }

  test('to HEAD sends no body, and leaves nothing open', { timeout, skip }, async () => {
    assert.equal(await leaked(async () => {
      const response = await handler.handleStream({ method: 'HEAD', url: script(['open', file], start(), ['send_file', {}], ['close_file']) })
      assert.equal(await response.next(), null)
    }), 0)
  })

  // Scenario: the descriptor crosses to JavaScript in an event that finds nobody, because the request was given up.
  test('that is on its way when the reader leaves leaves nothing open', { timeout, skip }, async () => {
    const name = unique('go')
    assert.equal(await leaked(async () => {
      const response = await stream([
        start(), part('one'), ['released', name], ['open', file], ['send_file', { more_body: true }], ['close_file'], ['note', `${name}.sent`],
        ['forever', unique('never')]
      ])
      await response.next()
      // While this thread waits, nothing is delivered.
      handler.handleRequestSync({ url: script(['release', name], ['noted', `${name}.sent`], start(), body()) })
      response.cancel()
    }), 0)
  })

  // Scenario: the call of a response that was collected was cancelled, and the files it had kept stayed open.
  test('whose response nobody holds any more leaves nothing open', { timeout, skip }, async () => {
    assert.equal(await leaked(async () => {
      for (let count = 0; count < 20; count++) {
        await stream([['open', file], start(), ['send_file', {}], ['close_file']])
      }
      await collectGarbage()
    }), 0)
  })

  test('that a terminated worker has not read leaves no descriptor', { timeout, skip }, async () => {
    const never = unique('never')
    const urls = Array.from({ length: 20 }, () => script(['open', file], start(), ['send_file', { more_body: true }], ['forever', never]))
    assert.equal(await leaked(async () => {
      const worker = new Worker(new URL('fixtures/unread-file.mjs', import.meta.url), { workerData: { urls } })
      await once(worker, 'message')
      await worker.terminate()
      // The tasks are cancelled, and their own files collected.
      await collectGarbage()
      await turns()
    }), 0)
    await release(never)
  })

  test('of many parts is held back while nobody reads', { timeout, skip }, async () => {
    const name = unique('sent')
    const response = await stream([
      ['open', file], start(), ['send_file_often', 500, name, { offset: 0, count: 65_536, more_body: true }], body(), ['close_file']
    ])
    await turns()
    const sent = await notedSoFar(name)
    response.cancel()
    assert.ok(sent < 100, `${sent} parts were taken, each with a descriptor of its own`)
  })

  test('is ended by an AbortSignal while the file is read, with its reason', { timeout, skip }, async () => {
    const controller = new AbortController()
    const response = await stream([['open', file], start(), ['send_file', { more_body: true }], ['forever', unique('never')]], controller)
    await response.next()
    const reading = response.next().catch(nothing)
    const reason = new RangeError('enough')
    controller.abort(reason)
    await reading
    await assert.rejects(response.next(), reason)
  })
})

describe('the tls extension', () => {
  test('of the caller reaches the application with every key, and is not there without', { timeout }, async () => {
    const tls = {
      server_cert: '-----BEGIN CERTIFICATE-----\n…', client_cert_chain: ['-----BEGIN CERTIFICATE-----\n…'], client_cert_name: 'CN=client,O=Ünion',
      client_cert_error: null, tls_version: 0x0304, cipher_suite: 0x1301
    }
    for (const [extensions, expected] of [[{ tls }, tls], [undefined, undefined]]) {
      const name = unique('scope')
      await handler.handleRequest({ url: script(['scope_as', name], start(), body()), extensions })
      assert.deepEqual((await noted(name)).extensions.tls, expected)
    }
  })
})

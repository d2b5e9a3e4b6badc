// Any JavaScript value in any place that takes one: the outcome is a result, or an error that has a code. And what is given
// is what the application sees. `PYTHON_NODE_SEED` repeats a run, `PYTHON_NODE_FUZZ` sets the milliseconds of each property.

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { Headers, PythonHandler, Request, Response } from '../index.js'
import { docroot, failure, json, serve, timeout } from './fixtures.mjs'
import { runFixture } from './processes.mjs'

// One seed by default, so that a run can be repeated; another for each look further.
const seed = Number(process.env.PYTHON_NODE_SEED ?? 20261123)
const interruptAfterTimeLimit = Number(process.env.PYTHON_NODE_FUZZ ?? 700)
const settings = { seed, numRuns: 5_000, interruptAfterTimeLimit, markInterruptAsFailure: false }
console.log(`seed ${seed}`)

const handler = serve('scope_echo:app', { responseTimeout: 5_000, lifespan: 'off', maxBodySize: 2 ** 20 })
const alive = setInterval(() => {}, 60_000)

after(async () => {
  clearInterval(alive)
  await handler.close({ timeout: 2_000 })
})

/** Errors of the web's standards, where they ask for one. */
const WEB = new Set(['TypeError', 'RangeError', 'SyntaxError', 'InvalidAccessError', 'AbortError', 'InvalidStateError'])

/** @param {'ours' | 'web'} kind whose rules an error has to follow */
function judge (error, kind) {
  assert.ok(error instanceof Error || error instanceof DOMException, `no error: ${typeof error}`)
  if (/^ERR_PYTHON_[A-Z0-9_]+$/.test(error.code)) return
  if (kind === 'web' && WEB.has(error.name)) return
  throw new Error(`an error without a code: ${error.stack}`, { cause: error })
}

/** Runs something that may fail in a good way. */
function attempt (run, kind = 'ours') {
  try {
    return run()
  } catch (error) {
    judge(error, kind)
  }
}

async function settle (run, kind = 'ours', limit = 10_000) {
  let timer
  const late = new Promise((_resolve, reject) => { timer = setTimeout(reject, limit, new Error('hangs')) })
  const promise = attempt(run, kind)
  try {
    return await Promise.race([promise?.catch?.(error => { judge(error, kind) }) ?? promise, late])
  } finally {
    clearTimeout(timer)
  }
}

const strange = () => fc.constantFrom(
  undefined, null, true, false, 0, -0, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 53, 0n, 10n ** 30n, '', ' ', '\0', '\n', '\ud800', '🎉',
  'GET', '/', '*', '//', 'http://', 'http://a', 'http://[::1]:1/', 'http://a:99999/', '%', '__proto__', 'constructor',
  Symbol('s'), Symbol.iterator, () => {}, async () => {}, class {}, [], [[]], [[], []], [['a', 'b']], [['a']], [1], {}, Object.create(null),
  { __proto__: null, a: 1 }, JSON.parse('{"__proto__": {"polluted": true}}'), new Map(), new Map([['a', 'b']]), new Set(), new Date(0), new Date(NaN), /x/,
  new Error('x'), new Proxy({}, {}), Buffer.from('x'), new Uint8Array(3), new Float64Array(2), new DataView(new ArrayBuffer(2)),
  new ArrayBuffer(3), new SharedArrayBuffer(3), new URL('http://a/b'), new URLSearchParams('a=b'), new Headers({ a: 'b' }),
  new globalThis.Headers({ a: 'b' }), new Response({ status: 200 }), new WeakMap(), Promise.resolve(1), globalThis, process.env, new EventTarget(),
  new Blob(['x'])
)

const anything = () => fc.oneof(
  { weight: 4, arbitrary: strange() },
  { weight: 2, arbitrary: fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, withSparseArray: true, withNullPrototype: true, maxDepth: 2 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) }
)

/** Objects that have some of these fields. */
const fields = (names, usual = {}) => fc.tuple(
  fc.subarray(names), fc.array(anything(), { minLength: names.length, maxLength: names.length })
).map(([chosen, values]) => ({ ...usual, ...Object.fromEntries(chosen.map((name, index) => [name, values[index]])) }))

const REQUEST = ['method', 'url', 'headers', 'body', 'socket', 'docroot', 'websocket', 'httpVersion', 'scheme', 'rootPath', 'state', 'extensions']
const request = () => fields(REQUEST, { url: '/' })
const bodyless = { url: '/', body: undefined }

/** One field at a time: the errors of others do not hide it. */
const oneField = names => fc.tuple(fc.constantFrom(...names), anything()).map(([name, value]) => ({ url: '/', [name]: value }))

function assertUnpolluted () {
  assert.equal({}.polluted, undefined)
  assert.deepEqual(Object.keys(Object.prototype), [])
}

describe('any value', () => {
  const HANDLER = ['appTarget', 'python', 'rootPath', 'loop', 'lifespan', 'interface', 'factory', 'state', 'responseTimeout', 'idleTimeout',
    'disconnectGrace', 'shutdownTimeout', 'stuckThreshold', 'maxInFlight', 'maxQueued', 'maxResponseSize', 'maxBodySize', 'maxHeaders',
    'maxHeaderSize', 'maxMessageSize', 'deepbind', 'docroot']

  test('as an option of the handler', { timeout }, () => {
    // Each that succeeds is a handler: they import nothing new. `python` runs programs: it has its own tests.
    const names = HANDLER.filter(name => name !== 'python')
    const usual = { docroot, appTarget: 'scope_echo:app', lifespan: 'off' }
    fc.assert(fc.property(fc.constantFrom(...names), anything(), (name, value) => {
      attempt(() => new PythonHandler({ ...usual, [name]: value }))
    }), { ...settings, numRuns: 1_500 })
    fc.assert(fc.property(anything(), value => {
      if (value === undefined || (typeof value === 'object' && value !== null)) return
      attempt(() => new PythonHandler(value))
    }), { ...settings, numRuns: 300 })
    assertUnpolluted()
  })

  test('in Request, and in its setters', { timeout }, () => {
    fc.assert(fc.property(fc.oneof(oneField(REQUEST), request(), anything()), options => {
      const made = attempt(() => new Request(options))
      if (made !== undefined) attempt(() => [made.url, made.path, made.method, made.headers, made.body, made.docroot, JSON.stringify(made)])
    }), settings)
    fc.assert(fc.property(fc.constantFrom('method', 'url', 'headers', 'body', 'docroot'), anything(), (name, value) => {
      const made = new Request({ url: '/' })
      attempt(() => { made[name] = value })
      attempt(() => made.toJSON())
    }), settings)
    assertUnpolluted()
  })

  test('in Response', { timeout }, () => {
    fc.assert(fc.property(fc.oneof(fields(['status', 'headers', 'body', 'exception']), anything()), options => {
      const made = attempt(() => new Response(options))
      if (made !== undefined) attempt(() => [made.status, made.headers, made.body, made.exception, made.toJSON()])
    }), settings)
    assertUnpolluted()
  })

  test('in Headers and each of its methods', { timeout }, () => {
    fc.assert(fc.property(anything(), anything(), anything(), (init, name, value) => {
      const headers = attempt(() => new Headers(init)) ?? new Headers()
      for (const method of ['get', 'getAll', 'getLine', 'has', 'delete']) attempt(() => headers[method](name))
      for (const method of ['set', 'add', 'append']) attempt(() => headers[method](name, value))
      attempt(() => [headers.size, headers.keys(), headers.values(), headers.entries(), [...headers], headers.toJSON(), headers.getSetCookie()])
      headers.clear()
      assert.equal(headers.size, 0)
    }), settings)
    assertUnpolluted()
  })

  test('as a request, plain or not', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(fc.oneof(oneField(REQUEST), request(), anything()), fc.constantFrom('handleRequest', 'handleStream'), async (options, method) => {
      const response = await settle(() => handler[method](options))
      response?.cancel()
      const made = attempt(() => new Request(options))
      if (made === undefined) return
      // A stream of the test's own would be read twice.
      const second = await settle(() => { made.end(); return handler[method](made) }, 'web')
      second?.cancel()
    }), settings)
    assertUnpolluted()
  })

  test('as a request that blocks', { timeout }, () => {
    fc.assert(fc.property(fc.oneof(oneField(REQUEST), request(), anything()), options => {
      attempt(() => handler.handleRequestSync(options))
    }), settings)
  })

  test('as the options of a call', { timeout }, async () => {
    const names = ['signal', 'onEarlyHints', 'onPush', 'onDebug', 'onUploadProgress', 'onDownloadProgress', 'trailers']
    await fc.assert(fc.asyncProperty(fc.oneof(fields(names), anything()), async options => {
      if (options instanceof EventTarget) return
      await settle(() => handler.handleRequest(bodyless, options))
    }), settings)
  })

  test('in a chunk of a body', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(fc.array(anything(), { maxLength: 4 }), async chunks => {
      await settle(() => handler.handleRequest({ method: 'POST', url: '/', body: Readable.from(chunks.filter(chunk => chunk !== null && chunk !== undefined)) }), 'web')
      async function * iterate () { yield * chunks }
      await settle(() => handler.handleRequest({ method: 'POST', url: '/', body: iterate() }))
      const made = new Request({ method: 'POST', url: '/' })
      for (const chunk of chunks) await settle(() => made.write(chunk))
      await made.end()
      await settle(() => handler.handleRequest(made))
    }), settings)
  })

  test('in connect and in what its socket is given', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(fc.oneof(anything(), request()), fc.oneof(fields(['protocols', 'headers', 'signal']), anything()), anything(), async (target, options, value) => {
      const socket = attempt(() => handler.connect(target, options))
      if (socket === undefined) return
      const closed = new Promise(resolve => socket.addEventListener('close', resolve))
      socket.addEventListener('error', event => judge(event.error, 'web'))
      attempt(() => socket.send(value), 'web')
      attempt(() => { socket.binaryType = value }, 'web')
      attempt(() => { socket.onmessage = value }, 'web')
      attempt(() => socket.close(value, value), 'web')
      socket.close()
      await settle(() => closed)
    }), settings)
  })

  test('in fetch', { timeout }, async () => {
    const names = ['method', 'headers', 'body', 'signal', 'redirect', 'mode', 'credentials', 'cache', 'state', 'extensions', 'socket', 'duplex']
    await fc.assert(fc.asyncProperty(fc.oneof(fc.constant('/'), anything()), fc.oneof(fields(names), anything()), async (input, init) => {
      const response = await settle(() => handler.fetch(input, init), 'web')
      await response?.body?.cancel()
    }), settings)
  })

  test('in close and ready of a handler', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(anything(), async value => {
      const own = serve('scope_echo:app', { lifespan: 'off' })
      await settle(() => own.ready(value))
      await settle(() => own.close({ timeout: value }))
      await settle(() => own.close(value))
    }), { ...settings, numRuns: 200 })
  })
})

describe('a caller\'s mistake', () => {
  /** Values of which String() makes nothing. */
  const WITHOUT_TEXT = { 'an object without a prototype': Object.create(null), 'a list of one': [Object.create(null)], 'a toString that throws': { toString () { throw new Error('thrown') } } }
  for (const [name, mute] of Object.entries(WITHOUT_TEXT)) {
    test(`${name} is refused with a code wherever text is wanted`, { timeout }, async () => {
      const refused = error => /^ERR_PYTHON_/.test(error.code)
      for (const field of ['method', 'url', 'headers']) {
        const options = { url: '/', [field]: field === 'headers' ? [[mute, 'a']] : mute }
        assert.throws(() => new Request(options), refused, field)
        await assert.rejects(handler.handleRequest(options), refused, field)
        assert.throws(() => handler.handleRequestSync(options), refused, field)
      }
      assert.throws(() => new Response({ exception: mute }), refused)
      for (const method of ['get', 'has', 'delete', 'set', 'add']) assert.throws(() => new Headers()[method](mute, 'a'), refused, method)
    })
  }

  test('a signal that is none is refused by connect, and nothing is left open', { timeout }, () => {
    for (const signal of [true, 5, 'x', {}, { aborted: false }, { aborted: false, addEventListener () {} }]) {
      const own = serve('scope_echo:app', { lifespan: 'off' })
      assert.throws(() => own.connect('/', { signal }), failure('ERR_PYTHON_INVALID_ARGUMENT'))
      assert.equal(own.stats().openSockets, 0)
    }
  })

  for (const [how, what] of Object.entries({
    data: 'a listener of response.stream() that throws is an uncaught exception',
    signal: 'a signal without removeEventListener',
    connect: 'a signal of connect that is none'
  })) {
    test(`${what}, and costs nobody else an answer`, { timeout }, async () => {
      const { stdout, stderr } = await runFixture('throwing.mjs', [how])
      const { lost, uncaught } = JSON.parse(stdout)
      assert.deepEqual({ lost, uncaught }, { lost: [], uncaught: how === 'data' ? ['from data'] : [] }, stderr)
    })
  }
})

/** Characters of an HTTP token. */
const token = () => fc.string({ unit: fc.constantFrom(...'!#$%&\'*+-.^_`|~09azAZ'), minLength: 1, maxLength: 12 })
const value = () => fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).filter(code => code !== 0x7f).map(code => String.fromCharCode(code)), maxLength: 20 })

/** What the application saw, without its Python types. */
function plain ([kind, seen]) {
  if (kind === 'dict') return Object.fromEntries(Object.entries(seen).map(([name, item]) => [name, plain(item)]))
  if (kind === 'list' || kind === 'tuple') return seen.map(plain)
  return seen
}

const seenBy = async options => plain(['dict', json(await handler.handleRequest(options))])

describe('what the application sees', () => {
  test('is each header as it was given, in order, repeats kept', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.tuple(token(), value()), { maxLength: 8 }), fc.boolean(), async (pairs, made) => {
      const options = { url: '/', headers: pairs }
      const { headers } = await seenBy(made ? new Request(options) : options)
      assert.deepEqual(headers, pairs.map(([name, text]) => [name.toLowerCase(), text]))
    }), settings)
  })

  test('is each header of a plain object', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(fc.dictionary(token().filter(name => name !== '__proto__'), value(), { maxKeys: 6 }), async headers => {
      const seen = await seenBy({ url: '/', headers })
      assert.deepEqual(seen.headers, Object.entries(headers).map(([name, text]) => [name.toLowerCase(), text]))
    }), settings)
  })

  test('is the path and the query as written, and the path decoded once', { timeout }, async () => {
    const letter = fc.oneof(
      fc.constantFrom(...'/.;:@!$&\'()*+,=-_~aZ09'),
      fc.constantFrom('%2f', '%2F', '%2e', '%2E%2e', '%00', '%25', '%zz', '%', '%c3%bc', '%ff', '%c0%af', '%ed%a0%80', '//', '/../', '\\', '"', '<', '|', '^', '[', ']', '{')
    )
    const part = fc.array(letter, { maxLength: 12 }).map(letters => letters.join(''))
    await fc.assert(fc.asyncProperty(part, fc.option(part), async (rest, query) => {
      const path = `/${rest}`
      const { raw_path: raw, query_string: given, path: decoded } = await seenBy({ url: query === null ? path : `${path}?${query}` })
      assert.equal(raw, path)
      assert.equal(given, query ?? '')
      const octets = path.replace(/%([0-9a-f]{2})/gi, (_match, hex) => String.fromCharCode(parseInt(hex, 16)))
      assert.equal(decoded, new TextDecoder().decode(Buffer.from(octets, 'latin1')))
    }), settings)
  })

  test('is any text of a url in UTF-8, percent-encoded', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 12 }), async text => {
      if (/[\x00-\x1f\x7f?#%]/.test(text)) return
      const { path } = await seenBy({ url: `/${text}` })
      assert.equal(path, `/${text}`)
    }), settings)
  })

  test('is the method in capitals, and the state as JSON says it', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(token(), fc.dictionary(fc.string({ maxLength: 5 }).filter(name => name !== '__proto__'), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 }), async (method, state) => {
      const seen = await seenBy({ url: '/', method, state })
      if (method.toUpperCase() !== 'HEAD') assert.equal(seen.method, method.toUpperCase())
      assert.deepEqual(seen.state, JSON.parse(JSON.stringify(state)))
    }), settings)
  })
})

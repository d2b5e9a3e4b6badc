// JavaScript values in `scope["state"]` and `scope["extensions"]`: of a request and of a handler.

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { Request } from '../index.js'
import { failure, noted, serve, timeout } from './fixtures.mjs'
import { accept, body, close, script, start, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0 })

after(() => handler.close({ timeout: 1000 }))

async function scopeOf (fields, own = handler) {
  const name = unique('scope')
  await own.handleRequest({ url: script(['scope_as', name], start(), body()), ...fields })
  return noted(name)
}

/** What JSON cannot say, or not as an object. */
const cyclic = {}
cyclic.self = { cyclic }
const UNSAYABLE = [
  ['a cycle', cyclic], ['a function in it', { a () {} }], ['a symbol in it', { a: [Symbol('s')] }], ['a bigint in it', { a: 1n }],
  ['NaN in it', { a: NaN }], ['an infinity in it', { a: -Infinity }],
  ['a getter that throws', { get a () { throw new RangeError('getter') } }], ['a number', 5], ['a string', 'text'],
  ['a boolean', true], ['a list', []], ['a function', () => {}], ['a Date', new Date(0)],
  ['a Map in it', { a: new Map() }], ['a Set in it', { a: new Set() }], ['a RegExp in it', { a: /b/ }], ['an Error in it', { a: new Error('b') }],
  ['bytes in it', { a: new Uint8Array(2) }], ['an ArrayBuffer in it', { a: new ArrayBuffer(2) }], ['a Promise in it', { a: Promise.resolve() }],
  ['a number by toJSON', { toJSON: () => 5 }], ['a list by toJSON', { toJSON: () => [] }], ['undefined by toJSON', { toJSON () {} }]
]

for (const key of ['state', 'extensions']) {
  describe(`${key} of a request`, () => {
    for (const [what, value] of [
      ['nested values', { text: 'grüße 🎉\0\n"', number: -1.5, large: 2 ** 53, yes: true, none: null, list: [[], {}, [1]], object: { a: { b: 'c' } } }],
      ['keys of every kind', { '': 1, 'a b': 2, ünï: 3, constructor: 4, 0: 5 }],
      ['nothing', {}],
      ['an unpaired surrogate', { text: '\ud800' }]
    ]) {
      test(`holds ${what}`, { timeout }, async () => {
        for (const fields of [{ [key]: value }, Request]) {
          const found = fields === Request
            ? await (async () => {
              const name = unique('scope')
              await handler.handleRequest(new Request({ url: script(['scope_as', name], start(), body()), [key]: value }))
              return noted(name)
            })()
            : await scopeOf(fields)
          for (const name of Object.keys(value)) assert.deepEqual(found[key][name], value[name])
        }
      })
    }

    test('is what it was when the request was handled', { timeout }, async () => {
      const value = { list: ['before'] }
      const found = scopeOf({ [key]: value })
      value.list[0] = 'after'
      assert.deepEqual((await found)[key].list, ['before'])
    })

    test('leaves undefined out, and takes what toJSON gives', { timeout }, async () => {
      const found = await scopeOf({ [key]: { a: undefined, date: new Date(0) } })
      assert.equal('a' in found[key], false)
      assert.equal(found[key].date, '1970-01-01T00:00:00.000Z')
    })

    test('may be null or undefined', { timeout }, async () => {
      for (const value of [null, undefined]) assert.equal(typeof (await scopeOf({ [key]: value }))[key], 'object')
    })

    test('reaches a WebSocket', { timeout }, async () => {
      const name = unique('scope')
      await handler.handleStream(new Request({ url: script(['scope_as', name], ...accept(), close()), websocket: true, [key]: { user: 'me' } }))
      assert.equal((await noted(name))[key].user, 'me')
    })

    for (const [what, value] of UNSAYABLE) {
      test(`that is ${what} is the caller's error`, { timeout }, async () => {
        const expected = failure('ERR_PYTHON_INVALID_ARGUMENT', new RegExp(`\`${key}\``))
        const url = script(start(), body())
        await assert.rejects(handler.handleRequest({ url, [key]: value }), expected)
        assert.throws(() => handler.handleRequestSync({ url, [key]: value }), expected)
      })
    }

    test('that is nested too deeply for Python is the caller\'s error', { timeout }, async () => {
      let value = {}
      for (let depth = 0; depth < 3000; depth++) value = { value }
      await assert.rejects(scopeOf({ [key]: value }), failure('ERR_PYTHON_INVALID_ARGUMENT'))
    })
  })
}

describe('state of a handler', () => {
  test('reaches every request, which may have its own on top', { timeout }, async () => {
    const own = serve('script:app', { state: { pool: ['a'], user: 'nobody' } })
    assert.deepEqual((await scopeOf({}, own)).state, { pool: ['a'], user: 'nobody' })
    assert.deepEqual((await scopeOf({ state: { user: 'me' } }, own)).state, { pool: ['a'], user: 'me' })
    assert.deepEqual((await scopeOf({}, own)).state, { pool: ['a'], user: 'nobody' })
    assert.deepEqual((await scopeOf({})).state, {})
  })

})

describe('extensions of a handler', () => {
  test('reach every request, which may have its own on top', { timeout }, async () => {
    const own = serve('script:app', { extensions: { 'our.flags': ['a'], 'our.user': 'nobody' } })
    const found = async fields => {
      const { extensions } = await scopeOf(fields, own)
      return { flags: extensions['our.flags'], user: extensions['our.user'], docroot: typeof extensions.python_node.docroot }
    }
    assert.deepEqual(await found({}), { flags: ['a'], user: 'nobody', docroot: 'string' })
    assert.deepEqual(await found({ extensions: { 'our.user': 'me' } }), { flags: ['a'], user: 'me', docroot: 'string' })
    assert.deepEqual(await found({}), { flags: ['a'], user: 'nobody', docroot: 'string' })
    assert.equal('our.flags' in (await scopeOf({})).extensions, false)
  })

  test('are a copy of its own for each request', { timeout }, async () => {
    const own = serve('scope_echo:changes_extensions', { extensions: { list: [] } })
    for (let round = 0; round < 2; round++) {
      const { body } = await own.handleRequest({ url: '/' })
      assert.equal(String(body), '["changed"]')
    }
  })
})

for (const key of ['state', 'extensions']) {
  describe(`${key} of a handler`, () => {
    for (const [what, value] of UNSAYABLE) {
      test(`that is ${what} is the caller's error`, { timeout }, () => {
        assert.throws(() => serve('script:app', { [key]: value }), failure('ERR_PYTHON_INVALID_ARGUMENT', new RegExp(`\`${key}\``)))
      })
    }
  })
}

// Headers by itself: no Python. What crosses is in scope.test.mjs and response.test.mjs.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { Headers as OurHeaders } from '../index.js'
import { failure, timeout } from './fixtures.mjs'

const invalid = failure('ERR_PYTHON_INVALID_HEADER')

describe('new Headers', () => {
  const pairs = [['accept', 'a'], ['x-repeated', '1'], ['x-repeated', '2']]
  const inits = {
    'an object': { Accept: 'a', 'X-Repeated': ['1', '2'] },
    'an object without a prototype': Object.assign(Object.create(null), { accept: 'a', 'x-repeated': ['1', '2'] }),
    pairs: [['Accept', 'a'], ['X-Repeated', '1'], ['X-Repeated', '2']],
    'pairs with a list': [['Accept', 'a'], ['X-Repeated', ['1', '2']]],
    'a Map': new Map([['Accept', 'a'], ['X-Repeated', ['1', '2']]]),
    Headers: new OurHeaders(pairs),
    'a generator': (function * () { yield * pairs })()
  }
  for (const [name, init] of Object.entries(inits)) {
    test(`takes ${name}`, { timeout }, () => {
      assert.deepEqual(new OurHeaders(init).entries(), pairs)
    })
  }

  test('takes the Headers of fetch', { timeout }, () => {
    const headers = new OurHeaders(new Headers([['Set-Cookie', 'a=1'], ['Set-Cookie', 'b=2'], ['Accept', 'text/plain']]))
    assert.deepEqual(headers.getSetCookie(), ['a=1', 'b=2'])
    assert.equal(headers.get('accept'), 'text/plain')
  })

  for (const init of [undefined, null, {}, [], new Map()]) {
    test(`is empty for ${inspect(init)}`, { timeout }, () => {
      assert.deepEqual(new OurHeaders(init).entries(), [])
      assert.equal(new OurHeaders(init).size, 0)
    })
  }

  test('copies other Headers: changes of one are not seen in the other', { timeout }, () => {
    const original = new OurHeaders({ a: '1' })
    const copy = new OurHeaders(original)
    copy.set('a', '2')
    original.add('b', '3')
    assert.deepEqual(original.entries(), [['a', '1'], ['b', '3']])
    assert.deepEqual(copy.entries(), [['a', '2']])
  })

  test('leaves out undefined values and takes numbers, booleans and bigints as text', { timeout }, () => {
    const headers = new OurHeaders({ a: undefined, b: 1, c: true, d: 10n, e: '' })
    assert.deepEqual(headers.entries(), [['b', '1'], ['c', 'true'], ['d', '10'], ['e', '']])
  })

  for (const init of ['a: b', 1, true, Symbol('a')]) {
    test(`refuses ${inspect(init)}`, { timeout }, () => {
      assert.throws(() => new OurHeaders(init), invalid)
    })
  }

  for (const init of [['ab'], [['a']], [['a', 'b', 'c']], [null], [1]]) {
    test(`refuses what are no pairs: ${inspect(init)}`, { timeout }, () => {
      assert.throws(() => new OurHeaders(init), invalid)
    })
  }
})

describe('header names', () => {
  test('are case-insensitive and shown in lower case', { timeout }, () => {
    const headers = new OurHeaders()
    headers.add('X-Name', '1')
    for (const name of ['x-name', 'X-NAME', 'X-Name']) {
      assert.equal(headers.get(name), '1')
      assert.equal(headers.has(name), true)
      assert.deepEqual(headers.getAll(name), ['1'])
    }
    assert.deepEqual(headers.keys(), ['x-name'])
    headers.set('x-NAME', '2')
    assert.deepEqual(headers.entries(), [['x-name', '2']])
    assert.equal(headers.delete('X-nAmE'), true)
    assert.equal(headers.size, 0)
  })

  test('may be any token', { timeout }, () => {
    const name = "!#$%&'*+-.^_`|~09az"
    assert.deepEqual(new OurHeaders({ [name]: '1' }).keys(), [name])
  })

  for (const name of ['', ' ', 'a b', 'a:', 'a\r\nb', 'a\nb', 'a\0', 'a(b)', 'ä', '☃', 'a\t', '"a"', 'a/b']) {
    test(`are refused as ${JSON.stringify(name)}`, { timeout }, () => {
      assert.throws(() => new OurHeaders([[name, 'v']]), invalid)
      assert.throws(() => new OurHeaders().set(name, 'v'), invalid)
      assert.throws(() => new OurHeaders().add(name, 'v'), invalid)
      assert.throws(() => new OurHeaders().get(name), invalid)
    })
  }
})

describe('header values', () => {
  for (const value of ['', ' ', '\t', 'a b', 'caf\u00e9', '\u0080\u00ff', '"quoted"', 'a,b;c=d', 'x'.repeat(100_000)]) {
    test(`may be ${JSON.stringify(value.slice(0, 20))} (${value.length})`, { timeout }, () => {
      assert.equal(new OurHeaders({ a: value }).get('a'), value)
    })
  }

  for (const value of ['a\r\nb: c', 'a\nb', 'a\rb', 'a\0b', '\u001b', '\u007f', '\u0100', '☃']) {
    test(`are refused with ${JSON.stringify(value)}, and not shown in the error`, { timeout }, () => {
      for (const attempt of [
        () => new OurHeaders({ a: 'secret' + value }),
        () => new OurHeaders({ a: ['secret' + value] }),
        () => new OurHeaders().set('a', 'secret' + value),
        () => new OurHeaders().set('a', ['secret' + value]),
        () => new OurHeaders().add('a', 'secret' + value)
      ]) {
        assert.throws(attempt, error => error.code === invalid.code && !error.message.includes('secret') && error.message.includes('`a`'))
      }
    })
  }

  for (const value of [null, {}, () => {}, Symbol('a'), [null], [['nested']]]) {
    test(`are refused as ${inspect(value)}`, { timeout }, () => {
      assert.throws(() => new OurHeaders({ a: value }), invalid)
      assert.throws(() => new OurHeaders().set('a', value), invalid)
      assert.throws(() => new OurHeaders().add('a', value), invalid)
    })
  }

  test('a refused value changes nothing', { timeout }, () => {
    const headers = new OurHeaders({ a: '1' })
    assert.throws(() => headers.set('a', 'x\ny'), invalid)
    assert.throws(() => headers.add('a', ['2', 'x\ny']), invalid)
    assert.deepEqual(headers.entries(), [['a', '1']])
  })
})

describe('reading headers', () => {
  const headers = new OurHeaders([['a', '1'], ['b', '2'], ['a', '3'], ['set-cookie', 'x=1'], ['Set-Cookie', 'y=2, z']])

  test('get gives the last value, or null', { timeout }, () => {
    assert.equal(headers.get('a'), '3')
    assert.equal(headers.get('b'), '2')
    assert.equal(headers.get('c'), null)
  })

  test('getAll gives every value in order, or none', { timeout }, () => {
    assert.deepEqual(headers.getAll('a'), ['1', '3'])
    assert.deepEqual(headers.getAll('c'), [])
  })

  test('getLine joins the values, or is null', { timeout }, () => {
    assert.equal(headers.getLine('a'), '1,3')
    assert.equal(headers.getLine('b'), '2')
    assert.equal(headers.getLine('c'), null)
  })

  test('getSetCookie never joins', { timeout }, () => {
    assert.deepEqual(headers.getSetCookie(), ['x=1', 'y=2, z'])
    assert.deepEqual(new OurHeaders().getSetCookie(), [])
  })

  test('has', { timeout }, () => {
    assert.equal(headers.has('a'), true)
    assert.equal(headers.has('c'), false)
    assert.equal(new OurHeaders().has('__proto__'), false)
    assert.equal(new OurHeaders().has('constructor'), false)
  })

  test('size and keys count names once, values and entries count repeats', { timeout }, () => {
    assert.equal(headers.size, 3)
    assert.deepEqual(headers.keys(), ['a', 'b', 'set-cookie'])
    assert.deepEqual(headers.values(), ['1', '2', '3', 'x=1', 'y=2, z'])
    assert.deepEqual(headers.entries(), [['a', '1'], ['b', '2'], ['a', '3'], ['set-cookie', 'x=1'], ['set-cookie', 'y=2, z']])
  })

  test('iteration and forEach give every pair in order', { timeout }, () => {
    assert.deepEqual([...headers], headers.entries())
    assert.deepEqual(Array.from(headers), headers.entries())
    const seen = []
    const self = {}
    headers.forEach(function (value, name, all) {
      assert.equal(this, self)
      assert.equal(all, headers)
      seen.push([name, value])
    }, self)
    assert.deepEqual(seen, headers.entries())
  })

  test('what iteration gives is a copy', { timeout }, () => {
    const own = new OurHeaders({ a: '1' })
    own.entries()[0][1] = 'changed'
    own.keys().push('b')
    for (const pair of own) pair[1] = 'changed'
    assert.deepEqual(own.entries(), [['a', '1']])
  })

  test('headers may be changed while they are iterated', { timeout }, () => {
    const own = new OurHeaders([['a', '1'], ['b', '2'], ['c', '3']])
    const seen = []
    for (const [name] of own) {
      seen.push(name)
      own.delete(name)
    }
    assert.deepEqual(seen, ['a', 'b', 'c'])
    assert.equal(own.size, 0)
  })

  test('toJSON has a string for one value and a list for several', { timeout }, () => {
    assert.deepEqual(JSON.parse(JSON.stringify(headers)), { a: ['1', '3'], b: '2', 'set-cookie': ['x=1', 'y=2, z'] })
  })

  test('a header may be called __proto__ or constructor', { timeout }, () => {
    const own = new OurHeaders([['__proto__', '1'], ['constructor', '2']])
    assert.equal(own.get('__proto__'), '1')
    assert.equal(own.size, 2)
    assert.equal(JSON.stringify(own), '{"__proto__":"1","constructor":"2"}')
    assert.equal(Object.getPrototypeOf(own.toJSON()), Object.prototype)
  })

  test('are shown by console.log', { timeout }, () => {
    assert.equal(inspect(new OurHeaders({ a: '1' })), "Headers { a: '1' }")
    assert.equal(String(headers), '[object Headers]')
  })
})

describe('changing headers', () => {
  test('set replaces every value at the place of the first', { timeout }, () => {
    const headers = new OurHeaders([['a', '1'], ['b', '2'], ['a', '3']])
    headers.set('a', '4')
    assert.deepEqual(headers.entries(), [['a', '4'], ['b', '2']])
    headers.set('b', ['5', '6'])
    headers.set('c', 7)
    assert.deepEqual(headers.entries(), [['a', '4'], ['b', '5'], ['b', '6'], ['c', '7']])
  })

  test('add keeps what is there', { timeout }, () => {
    const headers = new OurHeaders({ a: '1' })
    headers.add('a', '2')
    headers.add('b', ['3', '4'])
    assert.deepEqual(headers.entries(), [['a', '1'], ['a', '2'], ['b', '3'], ['b', '4']])
  })

  test('delete says whether there was something', { timeout }, () => {
    const headers = new OurHeaders([['a', '1'], ['b', '2'], ['a', '3']])
    assert.equal(headers.delete('a'), true)
    assert.equal(headers.delete('a'), false)
    assert.deepEqual(headers.entries(), [['b', '2']])
  })

  test('clear leaves none', { timeout }, () => {
    const headers = new OurHeaders({ a: '1', b: ['2', '3'] })
    headers.clear()
    assert.deepEqual(headers.entries(), [])
    headers.set('c', '4')
    assert.deepEqual(headers.entries(), [['c', '4']])
  })
})

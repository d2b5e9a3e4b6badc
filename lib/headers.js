'use strict'

// Header fields of requests and responses: an ordered list of lower-case names and values, repeats kept.

const { PythonHandlerError, shown } = require('./errors.js')

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-zA-Z]+$/
const NOT_VALUE = /[^\t\x20-\x7e\x80-\xff]/

/** Names in use are few: lower-casing and checking each once is half the cost of a head. */
const NAMES_KEPT = 512
const names = new Map()

/**
 * @param {unknown} name
 * @returns {string} lower-case
 */
function headerName (name) {
  const known = names.get(name)
  if (known !== undefined) return known
  // As it is: some letters beyond ASCII have a lower case within it.
  if (typeof name !== 'string' || !TOKEN.test(name)) {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_HEADER', `invalid header name ${shown(name)}: it must be an HTTP token`)
  }
  const lower = name.toLowerCase()
  if (names.size < NAMES_KEPT) names.set(name, lower)
  return lower
}

/**
 * @param {string} name for the message
 * @param {unknown} value
 * @returns {string}
 */
function headerValue (name, value) {
  const text = typeof value === 'string' ? value : valueText(name, value)
  if (NOT_VALUE.test(text)) {
    // Never the value itself: it may be a secret.
    throw new PythonHandlerError('ERR_PYTHON_INVALID_HEADER',
      `invalid value of header \`${name}\`: it holds a control character or one above U+00FF`)
  }
  return text
}

/**
 * A value that a header can be set to; all but strings are converted.
 *
 * @typedef HeaderValue
 */

function valueText (name, value) {
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  throw new PythonHandlerError('ERR_PYTHON_INVALID_HEADER',
    `invalid value of header \`${name}\`: it must be a string, not ${value === null ? 'null' : typeof value}`)
}

/**
 * The values of one name: a string, or an array where it is repeated.
 *
 * @typedef HeaderMapValue
 */

/**
 * Headers as an object, as `toJSON()` gives them.
 *
 * @typedef HeaderMap
 */

/**
 * What headers can be made of. A name whose value is undefined is left out.
 *
 * @typedef HeadersInit
 */

/** Of headers that were not filled yet. */
const NONE = Object.freeze([])

/**
 * Header fields in their order, repeats kept, names in lower case.
 *
 * Every method that takes a name or a value throws `ERR_PYTHON_INVALID_HEADER` for a name that is no HTTP
 * token, and for a value with a control character other than tab or a character above U+00FF.
 *
 * @example
 * ```js
 * const headers = new Headers({ accept: ['text/html', 'text/plain'] })
 * headers.add('Set-Cookie', 'a=1')
 * console.log(headers.get('Accept')) // text/plain
 * console.log(headers.getLine('accept')) // text/html,text/plain
 * console.log(headers.entries().length, headers.size) // 3 2
 * ```
 */
class Headers {
  /** Alternating names and values. */
  #list
  /** `name\nvalue\n…` as it came from the application, until somebody looks. */
  #text
  /** Alternating names and values as Node's parser gave them, until somebody looks. */
  #raw

  /** An object, pairs (an array, a `Map`, the `Headers` of fetch), or another `Headers`, which is copied. */
  constructor (init) {
    this.#text = undefined
    this.#raw = undefined
    this.#list = NONE
    if (init === undefined || init === null) return
    if (typeof init !== 'object' && typeof init !== 'function') {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_HEADER', `headers must be an object or pairs, not ${typeof init}`)
    }
    if (init instanceof Headers) {
      this.#list = init.#read().slice()
    } else if (typeof init[Symbol.iterator] === 'function') {
      for (const pair of init) this.#appendPair(pair)
    } else {
      for (const name of Object.keys(init)) this.#appendAll(name, init[name])
    }
  }

  /** @param {string} text `name\nvalue\n…`, checked by the native side */
  static fromText (text) {
    const headers = new Headers()
    headers.#text = text
    return headers
  }

  /** @param {string[]} list alternating names and values of any case, as `rawHeaders` of a Node request: not to be changed */
  static fromRaw (list) {
    const headers = new Headers()
    headers.#raw = list
    return headers
  }

  /** Alternating names and values, the names of any case: not to be changed. */
  static list (headers) {
    return headers.#raw ?? headers.#read()
  }

  /** Alternating lower-case names and values: not to be changed, but by `#appendAll`. */
  #read () {
    if (this.#text !== undefined) {
      const list = this.#text.split('\n')
      list.pop()
      this.#list = list
      this.#text = undefined
    } else if (this.#raw !== undefined) {
      const raw = this.#raw
      this.#raw = undefined
      this.#list = []
      for (let index = 0; index < raw.length; index += 2) this.#appendAll(raw[index], raw[index + 1])
    } else if (this.#list === NONE) {
      this.#list = []
    }
    return this.#list
  }

  #appendPair (pair) {
    if (pair === null || typeof pair !== 'object' || pair.length !== 2) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_HEADER', 'headers given as a list must be [name, value] pairs')
    }
    this.#appendAll(pair[0], pair[1])
  }

  #appendAll (name, value) {
    if (value === undefined) return
    const lower = headerName(name)
    const list = this.#read()
    if (Array.isArray(value)) {
      // All are checked before one is added.
      const values = Array.from(value, item => headerValue(lower, item))
      for (const item of values) list.push(lower, item)
    } else {
      list.push(lower, headerValue(lower, value))
    }
  }

  /** The last value of the field, null where there is none. */
  get (name) {
    const lower = headerName(name)
    const list = this.#read()
    for (let index = list.length - 2; index >= 0; index -= 2) {
      if (list[index] === lower) return list[index + 1]
    }
    return null
  }

  /** Every value of the field, in order. */
  getAll (name) {
    const lower = headerName(name)
    const list = this.#read()
    const values = []
    for (let index = 0; index < list.length; index += 2) {
      if (list[index] === lower) values.push(list[index + 1])
    }
    return values
  }

  /** Every value of the field, joined by commas; null where there is none. */
  getLine (name) {
    const values = this.getAll(name)
    return values.length === 0 ? null : values.join(',')
  }

  /** Every value of `set-cookie`. */
  getSetCookie () {
    return this.getAll('set-cookie')
  }

  /** Whether there is such a field. */
  has (name) {
    const lower = headerName(name)
    const list = this.#read()
    for (let index = 0; index < list.length; index += 2) {
      if (list[index] === lower) return true
    }
    return false
  }

  /** Replaces the field, at its place, by the value or values; returns whether it was there. */
  set (name, value) {
    const lower = headerName(name)
    const values = Array.isArray(value) ? Array.from(value, item => headerValue(lower, item)) : [headerValue(lower, value)]
    const list = this.#read()
    const kept = []
    let found = false
    for (let index = 0; index < list.length; index += 2) {
      if (list[index] !== lower) {
        kept.push(list[index], list[index + 1])
      } else if (!found) {
        found = true
        for (const item of values) kept.push(lower, item)
      }
    }
    if (!found) {
      for (const item of values) kept.push(lower, item)
    }
    this.#list = kept
    return found
  }

  /** Adds the value or values at the end; returns whether there was such a field. */
  add (name, value) {
    const found = this.has(name)
    this.#appendAll(name, value)
    return found
  }

  /** `add` as fetch names it. */
  append (name, value) {
    this.add(name, value)
  }

  /** Removes the field; returns whether it was there. */
  delete (name) {
    const lower = headerName(name)
    const list = this.#read()
    const kept = []
    for (let index = 0; index < list.length; index += 2) {
      if (list[index] !== lower) kept.push(list[index], list[index + 1])
    }
    const found = kept.length !== list.length
    this.#list = kept
    return found
  }

  /** Removes every field. */
  clear () {
    this.#text = this.#raw = undefined
    this.#list = []
  }

  /** How many names there are, repeats not counted. */
  get size () {
    return this.keys().length
  }

  /** The names, each once. */
  keys () {
    const seen = new Set()
    const list = this.#read()
    for (let index = 0; index < list.length; index += 2) seen.add(list[index])
    return [...seen]
  }

  /** The values of all fields, in order. */
  values () {
    return this.entries().map(entry => entry[1])
  }

  /** Name and value of all fields, in order. */
  entries () {
    const list = this.#read()
    const entries = []
    for (let index = 0; index < list.length; index += 2) entries.push([list[index], list[index + 1]])
    return entries
  }

  /** Calls back with value, name and these headers for all fields, in order. */
  forEach (callback, thisArg) {
    for (const [name, value] of this.entries()) callback.call(thisArg, value, name, this)
  }

  /** That of `entries()`. */
  [Symbol.iterator] () {
    return this.entries()[Symbol.iterator]()
  }

  /** An object by name; a repeated field is an array. */
  toJSON () {
    const json = {}
    for (const name of this.keys()) {
      const values = this.getAll(name)
      // Defined, not assigned: a header may be called `__proto__`.
      Object.defineProperty(json, name, {
        value: values.length === 1 ? values[0] : values,
        enumerable: true,
        configurable: true,
        writable: true
      })
    }
    return json
  }

  [Symbol.for('nodejs.util.inspect.custom')] (_depth, options, inspect) {
    return `Headers ${inspect(this.toJSON(), options)}`
  }

  /** `'Headers'` */
  get [Symbol.toStringTag] () {
    return 'Headers'
  }
}

module.exports = { Headers }

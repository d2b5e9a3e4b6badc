'use strict'

// What a handler answers. Buffered, or a stream whose body is read by one of next(), async iteration and stream().

const { Readable } = require('node:stream')
const { PythonHandlerError } = require('./errors.js')
const { Headers } = require('./headers.js')

const NOTHING = Buffer.alloc(0)

const RECEIVED = Symbol('received')

/**
 * A response whose body is here whole.
 *
 * @typedef BufferedResponse
 * @property body The whole body, of length 0 where there is none.
 */

/**
 * The fields of a response.
 *
 * @typedef ResponseOptions
 * @property status An integer from 100 to 999. Default: 200.
 * @property headers Default: none.
 * @property body Default: none.
 * @property exception Default: null.
 * @property log Default: empty.
 */

/**
 * The answer of an application.
 *
 * @example
 * ```js
 * const response = new Response({ status: 201, headers: { 'content-type': 'text/plain' }, body: 'made' })
 * console.log(response.status, String(response.body)) // 201 made
 * ```
 */
class Response {
  #status
  #headers
  #body
  #reader = null
  #exception
  #trailers = null
  #closed = null
  #given = false
  #log = NOTHING

  /** @throws {PythonHandlerError} `ERR_PYTHON_INVALID_ARGUMENT`, `ERR_PYTHON_INVALID_HEADER` */
  constructor (options) {
    // What came from an application is checked already, and filled in by `received`.
    if (options === RECEIVED) {
      this.#exception = null
      return
    }
    const { status = 200, headers, body, exception, log } = options ?? {}
    this.status = status
    this.#headers = headers instanceof Headers ? headers : new Headers(headers)
    this.body = body
    if (log !== undefined && log !== null) this.#log = toBuffer('log', log)
    if (exception !== undefined && exception !== null && typeof exception !== 'string') {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`exception` must be a string')
    }
    this.#exception = exception ?? null
  }

  /**
   * @param {number} status
   * @param {string} headers `name\nvalue\n…`
   * @param {Buffer | null} body
   * @param {import('./body-reader.js').BodyReader | null} reader
   */
  static received (status, headers, body, reader) {
    const response = new Response(RECEIVED)
    response.#status = status
    response.#headers = Headers.fromText(headers)
    response.#body = body
    response.#reader = reader
    return response
  }

  /** Header fields that came after the body. */
  static setTrailers (response, trailers) {
    response.#trailers = trailers
  }

  /** How a WebSocket was closed. */
  static setClosed (response, closed) {
    response.#closed = closed
  }

  /** Connects the body that is to come. */
  static attach (response, reader) {
    response.#reader = reader
  }

  /** Calls `listener` if the body is broken off while nobody reads it. Does nothing to a response that is not of this class. */
  static onBroken (response, listener) {
    if (#reader in response) response.#reader?.onBroken(listener)
  }

  /** Whether files are among what has come of the body and was not read. */
  static hasFiles (response) {
    return #reader in response && response.#reader?.hasFiles === true
  }

  /** Nobody can have the body: what of it is in files is given back unread. */
  static skipFiles (response) {
    if (#reader in response) response.#reader?.skipFiles()
  }

  /** An integer from 100 to 999. Setting another: `ERR_PYTHON_INVALID_ARGUMENT`. */
  get status () {
    return this.#status
  }

  set status (status) {
    if (!Number.isInteger(status) || status < 100 || status > 999) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`status` must be an integer from 100 to 999')
    }
    this.#status = status
  }

  /** The headers. Setting them takes whatever `new Headers()` takes; a `Headers` is kept, not copied. */
  get headers () {
    return this.#headers
  }

  set headers (headers) {
    this.#headers = headers instanceof Headers ? headers : new Headers(headers)
  }

  /** The whole body, or null: it is a stream, or there is none. Setting it takes a Buffer, Uint8Array or string. */
  get body () {
    return this.#body
  }

  set body (body) {
    this.#body = body === undefined || body === null ? null : toBuffer('body', body)
  }

  /** What the response was made with. Always empty for an application's: what that prints goes to stdout and stderr. */
  get log () {
    return this.#log
  }

  /** Header fields that came after the body; null before its end, and where there were none. */
  get trailers () {
    return this.#trailers
  }

  /** How a WebSocket was closed, by the application or the caller; null before, and where it broke off. */
  get closed () {
    return this.#closed
  }

  /** Whether the whole body is here. False for a stream, also after its end. */
  get complete () {
    return this.#reader === null
  }

  /** What broke the body off: Python's traceback, or the message of the error. Null otherwise. */
  get exception () {
    if (!this.#reader?.hasFailed) return this.#exception
    const { error } = this.#reader
    return String(error?.traceback ?? error?.message ?? error)
  }

  /**
   * Resolves with the next part of the body, or the next message of a WebSocket; null at its end; rejects with what broke it off.
   *
   * A body that is here whole is the only part; it stays in `body` as well.
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const response = await handler.handleStream({ url: '/hello' })
   * console.log(String(await response.next())) // Hello
   * console.log(await response.next()) // null
   * ```
   */
  next () {
    if (this.#reader !== null) return this.#reader.next(this)
    const body = this.#given ? null : this.#body
    this.#given = true
    return Promise.resolve(body === null || body.length === 0 ? null : body)
  }

  /** The body part by part, as `next()`. To leave the loop early is a disconnect to the application. */
  // Not a generator: one that is left before its first step, or within one, would not end the body then.
  [Symbol.asyncIterator] () {
    return {
      next: async () => {
        const value = await this.next()
        return value === null ? { value: undefined, done: true } : { value, done: false }
      },
      return: async value => {
        this.cancel()
        return { value, done: true }
      },
      [Symbol.asyncIterator] () { return this }
    }
  }

  /** Gives the rest of the body up: a disconnect to the application. */
  cancel () {
    this.#reader?.cancel()
  }

  /**
   * The body as a Node stream. To destroy it is a disconnect to the application; to drop it unread as well, once it is collected.
   *
   * @example
   * ```js
   * import { text } from 'node:stream/consumers'
   *
   * const handler = await PythonHandler.load()
   * const response = await handler.handleStream({ url: '/lines' })
   * console.log(await text(response.stream())) // one two three
   * ```
   */
  stream () {
    if (this.#reader !== null) return this.#reader.stream(this)
    const body = this.#body
    return Readable.from(body === null || body.length === 0 ? [] : [body], { objectMode: false })
  }

  /** Status, headers, and what there is of body and exception. */
  toJSON () {
    const json = { status: this.#status, headers: this.#headers.toJSON() }
    if (this.#body !== null) json.body = this.#body
    if (this.exception !== null) json.exception = this.exception
    return json
  }

  [Symbol.for('nodejs.util.inspect.custom')] (_depth, options, inspect) {
    return `Response ${inspect(this.toJSON(), options)}`
  }
}

function toBuffer (name, value) {
  if (Buffer.isBuffer(value)) return value
  if (typeof value === 'string') return Buffer.from(value)
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `\`${name}\` must be a Buffer, Uint8Array or string`)
}

module.exports = { Response }

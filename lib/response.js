'use strict'

// What a handler answers. Buffered, or a stream whose body is read by one of next(), async iteration and stream().

const { Readable } = require('node:stream')
const { PythonHandlerError } = require('./errors.js')
const { Headers } = require('./headers.js')

const NOTHING = Buffer.alloc(0)

const RECEIVED = Symbol('received')

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

  get status () {
    return this.#status
  }

  set status (status) {
    if (!Number.isInteger(status) || status < 100 || status > 999) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`status` must be an integer from 100 to 999')
    }
    this.#status = status
  }

  get headers () {
    return this.#headers
  }

  set headers (headers) {
    this.#headers = headers instanceof Headers ? headers : new Headers(headers)
  }

  get body () {
    return this.#body
  }

  set body (body) {
    this.#body = body === undefined || body === null ? null : toBuffer('body', body)
  }

  get log () {
    return this.#log
  }

  get trailers () {
    return this.#trailers
  }

  get closed () {
    return this.#closed
  }

  get complete () {
    return this.#reader === null
  }

  get exception () {
    if (!this.#reader?.hasFailed) return this.#exception
    const { error } = this.#reader
    return String(error?.traceback ?? error?.message ?? error)
  }

  next () {
    if (this.#reader !== null) return this.#reader.next(this)
    const body = this.#given ? null : this.#body
    this.#given = true
    return Promise.resolve(body === null || body.length === 0 ? null : body)
  }

  /** Not a generator: one that is left before its first step, or within one, would not end the body then. */
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

  cancel () {
    this.#reader?.cancel()
  }

  stream () {
    if (this.#reader !== null) return this.#reader.stream(this)
    const body = this.#body
    return Readable.from(body === null || body.length === 0 ? [] : [body], { objectMode: false })
  }

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

'use strict'

// What a handler answers. Buffered, or a stream whose body is read by one of next(), async iteration and stream().

const { Readable } = require('node:stream')
const { PythonHandlerError } = require('./errors.js')
const { Headers } = require('./headers.js')

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

  constructor (options) {
    // What came from an application is checked already, and filled in by `received`.
    if (options === RECEIVED) {
      this.#exception = null
      return
    }
    const { status = 200, headers, body, exception } = options ?? {}
    this.status = status
    this.#headers = headers instanceof Headers ? headers : new Headers(headers)
    this.#body = body === undefined || body === null ? null : toBuffer(body)
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
    const error = this.#reader?.error
    return error === undefined ? this.#exception : (error.traceback ?? error.message)
  }

  next () {
    if (this.#reader !== null) return this.#reader.next(this)
    const body = this.#given ? null : this.#body
    this.#given = true
    return Promise.resolve(body === null || body.length === 0 ? null : body)
  }

  async * [Symbol.asyncIterator] () {
    try {
      for (let chunk = await this.next(); chunk !== null; chunk = await this.next()) yield chunk
    } finally {
      this.#reader?.cancel()
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

function toBuffer (body) {
  if (Buffer.isBuffer(body)) return body
  if (typeof body === 'string') return Buffer.from(body)
  if (ArrayBuffer.isView(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`body` must be a Buffer, Uint8Array or string')
}

module.exports = { Response }

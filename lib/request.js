'use strict'

// What a handler is asked. Plain JavaScript: it crosses to the native side as one text and one body.

const { PythonHandlerError, shown } = require('./errors.js')
const { Headers } = require('./headers.js')
const { parseTarget } = require('./request-target.js')

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-zA-Z]+$/

/** Methods whose requests have no body unless one is given or announced (RFC 9110 9.3). */
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'DELETE', 'CONNECT'])

function invalid (message) {
  return new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', message)
}

function bodyError (message) {
  return new PythonHandlerError('ERR_PYTHON_BODY', message)
}

function checkMethod (method) {
  if (typeof method === 'string' && TOKEN.test(method)) return
  throw new PythonHandlerError('ERR_PYTHON_INVALID_METHOD',
    `invalid method ${shown(method)}: it must be an HTTP token`)
}

function urlText (url) {
  if (typeof url === 'string') return url
  if (url instanceof URL) return url.href
  if (url === undefined || url === null) throw invalid('Missing field `url`')
  throw new PythonHandlerError('ERR_PYTHON_INVALID_URL', `invalid url: expected a string, not ${typeof url}`)
}

/**
 * What can be the body of a request.
 *
 * @typedef BodyInit
 */

/** @returns {Buffer | object | null} bytes, or a stream as it is */
function takeBody (body) {
  if (body === undefined || body === null) return null
  if (typeof body === 'string') return Buffer.from(body)
  if (Buffer.isBuffer(body)) return body
  if (ArrayBuffer.isView(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (body instanceof ArrayBuffer || (typeof SharedArrayBuffer !== 'undefined' && body instanceof SharedArrayBuffer)) {
    return Buffer.from(body)
  }
  if (isStream(body)) return body
  throw invalid('`body` must be a Buffer, Uint8Array, string, stream or async iterable, not ' +
    (typeof body === 'object' ? (body.constructor?.name ?? 'an object') : typeof body))
}

/**
 * A body that is read while it is sent: a Node `Readable`, a web `ReadableStream`, an async iterable.
 *
 * @typedef BodyStream
 */

function isStream (body) {
  return typeof body === 'object' && body !== null && (typeof body[Symbol.asyncIterator] === 'function' || typeof body.getReader === 'function')
}

/** Whether a close frame can have this code: 1004 to 1006 and 1015 stand for something else (RFC 6455 7.4). */
function isCloseCode (code) {
  return Number.isInteger(code) &&
    ((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999))
}

/**
 * What a close frame can carry (RFC 6455 5.5, 7.4).
 *
 * @returns {string | undefined} the reason, for which there is no place without a code
 */
function checkClose (code, reason) {
  if (code !== undefined && !isCloseCode(code)) {
    throw invalid('the close code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999')
  }
  if (reason !== undefined && (typeof reason !== 'string' || Buffer.byteLength(reason) > 123)) {
    throw invalid('the close reason must be a string of at most 123 bytes of UTF-8')
  }
  return code === undefined ? undefined : reason
}

/**
 * A part of a body. A string stands for its UTF-8.
 *
 * @typedef BodyChunk
 */

/** A chunk of a body as bytes. */
function takeChunk (chunk) {
  if (typeof chunk === 'string') return Buffer.from(chunk)
  if (Buffer.isBuffer(chunk) || chunk instanceof Uint8Array) return chunk
  if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  if (chunk instanceof ArrayBuffer) return Buffer.from(chunk)
  throw invalid(`a chunk of a body must be a Buffer, Uint8Array or string, not ${chunk === null ? 'null' : typeof chunk}`)
}

/**
 * The fields of a request: for `new Request()`, or in place of one.
 *
 * @typedef RequestOptions
 * @property method Any HTTP token. Default: `'GET'`.
 * @property url A path with or without query, `*`, or an absolute http, https, ws or wss URL.
 *
 *   `raw_path` is what is written here; only spaces and characters beyond ASCII are percent-encoded. An absolute one gives
 *   `scheme`, and without `socket` also `server`; without a Host header, that too.
 * @property headers Default: none.
 * @property body Default: none. A stream is for `handleRequest` and `handleStream`, and is theirs: it is destroyed (a web
 *   stream cancelled) as soon as nobody wants the rest, because the request was refused, aborted or answered early. The request
 *   of a Node server is left to its response. A `content-length` that is not the length of a whole body:
 *   `ERR_PYTHON_INVALID_HEADER`.
 * @property socket The connection that the request came on. Default: none, `scope["client"]` is None.
 * @property docroot `scope["extensions"]["python_node"]["docroot"]`. Default: the handler's docroot.
 * @property websocket Whether it opens a WebSocket: `handleStream` resolves with status 101, or with the application's refusal.
 *   Of a `Request`, `write()` sends messages and `end()` closes. Default: false.
 * @property scheme `scope["scheme"]`. Default: that of the url, or `'https'` if `socket.encrypted`, or `'http'`.
 * @property httpVersion `scope["http_version"]`: `'1.0'`, `'1.1'` or `'2'`. Default: `'1.1'`.
 * @property rootPath `scope["root_path"]` of this request: empty, or begins with a slash. Default: the handler's `rootPath`.
 * @property state JSON values that `scope["state"]` gets, Starlette's `request.state`. What JSON cannot say is
 *   `ERR_PYTHON_INVALID_ARGUMENT`. Default: none.
 * @property extensions As `state`, for `scope["extensions"]`. Default: none.
 */

/**
 * A request to an application.
 *
 * @example
 * ```js
 * const request = new Request({
 *   method: 'PUT',
 *   url: 'https://example.com/items/7?q=tea',
 *   headers: { 'content-type': 'application/json' },
 *   body: '{"price": 3.5}'
 * })
 * console.log(request.method, request.path) // PUT /items/7
 * ```
 */
class Request {
  #method
  #url
  #target
  #headers
  #docroot = null
  #body
  #facts
  #websocket
  /** Whether the caller said that there is none. */
  #isBodiless
  /** Chunks written before a handler took the request. */
  #written = null
  #ended = false
  #call = null
  /** How a WebSocket was closed before a handler took the request. */
  #closing = null
  /** A body that is written or streamed can be read once. */
  #used = false

  /**
   * @throws {PythonHandlerError} `ERR_PYTHON_INVALID_ARGUMENT`, `ERR_PYTHON_INVALID_METHOD`,
   *   `ERR_PYTHON_INVALID_URL`, `ERR_PYTHON_INVALID_HEADER`
   */
  constructor (options) {
    if (options === undefined || options === null) throw invalid('Missing `options` argument')
    checkObject(options)
    this.#headers = new Headers(options.headers)
    this.method = options.method ?? 'GET'
    this.url = options.url
    if (options.docroot !== undefined && options.docroot !== null) this.docroot = options.docroot
    this.#body = takeBody(options.body)
    this.#facts = new Facts(options)
    this.#websocket = options.websocket === true
    this.#isBodiless = options.body === null
  }

  /** Any HTTP token; applications see it in upper case. Setting another: `ERR_PYTHON_INVALID_METHOD`. */
  get method () {
    return this.#method
  }

  set method (method) {
    checkMethod(method)
    this.#method = method
  }

  /**
   * The url as it was given; one that is only a path gets `https://` and the Host header's value in front,
   * where there is that header. Setting a malformed one: `ERR_PYTHON_INVALID_URL`.
   *
   * @example
   * ```js
   * const request = new Request({ url: '/items?q=tea', headers: { host: 'example.com' } })
   * console.log(request.url) // https://example.com/items?q=tea
   * ```
   */
  get url () {
    if (this.#target.authority !== '') return this.#url
    const host = this.#headers.get('host')
    return host === null || this.#url === '*' ? this.#url : `https://${host}${this.#url}`
  }

  set url (url) {
    const text = urlText(url)
    this.#target = parseTarget(text)
    this.#url = text
  }

  /** The path of the url, percent-encoded, without query. */
  get path () {
    const { target } = this.#target
    const end = target.search(/[?#]/)
    return end === -1 ? target : target.slice(0, end)
  }

  /** The headers. Setting them takes whatever `new Headers()` takes; a `Headers` is kept, not copied. */
  get headers () {
    return this.#headers
  }

  set headers (headers) {
    this.#headers = headers instanceof Headers ? headers : new Headers(headers)
  }

  /** The docroot of this request; null: the handler's. */
  get docroot () {
    return this.#docroot
  }

  set docroot (docroot) {
    if (typeof docroot !== 'string') throw invalid('`docroot` must be a string')
    this.#docroot = docroot
  }

  /** The body: bytes as a Buffer, a stream as it was given, null where there is none. */
  get body () {
    return this.#body
  }

  set body (body) {
    this.#body = takeBody(body)
  }

  /**
   * Sends a part of the body, or a message of a WebSocket (a string as text, else binary); resolves when the application has room for more (fewer than half of `highWaterMark` wait).
   *
   * Before the request is given to a handler, parts are kept. After the request is over, they are dropped.
   *
   * @throws {PythonHandlerError} as a rejection: `ERR_PYTHON_BODY` for a request that was made with a body, or
   *   whose body has ended; `ERR_PYTHON_INVALID_ARGUMENT`
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const request = new Request({ method: 'POST', url: '/echo' })
   * await request.write('green ')
   * await request.write(Buffer.from('tea'))
   * await request.end()
   * const response = await handler.handleRequest(request)
   * console.log(response.body.toString()) // green tea
   * ```
   */
  async write (chunk) {
    if (this.#body !== null) {
      throw bodyError('Cannot write to request: body has already been provided')
    }
    if (this.#ended) throw bodyError('Cannot write to request: body has already ended')
    const text = typeof chunk === 'string'
    const bytes = takeChunk(chunk)
    if (this.#call !== null) return this.#call.write(bytes, text)
    // Nobody reads yet, so nobody could be waited for. A copy: the caller may use its buffer again.
    this.#written ??= []
    this.#written.push({ bytes: text ? bytes : Buffer.from(bytes), text })
  }

  /**
   * Ends the body. Does nothing where it has ended, or where the request was made with one.
   *
   * @param code Of a WebSocket: the close code, 1000 to 1003, 1007 to 1014 or 3000 to 4999. Default: none (1005).
   * @param reason Of a WebSocket: the reason, dropped without a code. Default: `''`.
   */
  async end (code, reason) {
    if (this.#body !== null || this.#ended) return
    if (this.#websocket) reason = checkClose(code, reason)
    this.#ended = true
    if (this.#call !== null) {
      this.#call.end(code, reason)
    } else {
      this.#written ??= []
      this.#closing = { code, reason }
    }
  }

  /** Method, url, headers, and a body of bytes. */
  toJSON () {
    const json = { method: this.method, url: this.url, headers: this.#headers.toJSON() }
    if (Buffer.isBuffer(this.#body)) json.body = this.#body
    return json
  }

  [Symbol.for('nodejs.util.inspect.custom')] (_depth, options, inspect) {
    return `Request ${inspect(this.toJSON(), options)}`
  }

  /**
   * What crosses to the native side (lib/crossing.js). `streamed`: the caller reads the response as a stream
   * and may write the body meanwhile.
   */
  static parts (request, streamed) {
    if (request.#used) throw bodyError('the body of this request was written or streamed to a handler before')
    const body = request.#body ?? request.#whole()
    const more = body === null ? request.#isOpen(streamed) : !Buffer.isBuffer(body)
    request.#used = more
    return {
      method: request.#method,
      target: request.#target,
      headers: request.#headers,
      facts: request.#facts,
      docroot: request.#docroot,
      isWebSocket: request.#websocket,
      body,
      more
    }
  }

  /** What was written up to its end before a handler took the request; null otherwise. */
  #whole () {
    if (this.#websocket || !this.#ended || this.#written === null) return null
    return Buffer.concat(this.#written.map(({ bytes }) => bytes))
  }

  #isOpen (streamed) {
    if (this.#written !== null) return true
    // An earlier call has found that there is no body.
    if (this.#ended && !this.#websocket) return false
    if (this.#websocket) return true
    const length = this.#headers.get('content-length')
    const isAnnounced = length !== null ? length !== '0' : this.#headers.has('transfer-encoding')
    if (!streamed || length === '0' || (!isAnnounced && (this.#isBodiless || WITHOUT_BODY.has(this.#method.toUpperCase())))) {
      // Nothing was written, and nothing can be: the body is empty.
      this.#ended = true
      return false
    }
    return true
  }

  /** Connects `write` and `end` to a request in flight. */
  static attach (request, call) {
    request.#call = call
    const written = request.#written
    request.#written = null
    if (written === null) return
    for (const { bytes, text } of written) call.write(bytes, text).catch(ignore)
    if (request.#ended) call.end(request.#closing?.code, request.#closing?.reason)
  }

  /** Makes a WebSocket's of it, whatever it was made as. `protocols`: the list for its header, '' to leave that as it is. */
  static toWebSocket (request, protocols) {
    if (request.#used) throw bodyError('the body of this request was written or streamed to a handler before')
    request.#websocket = true
    if (protocols !== '') request.#headers.set('sec-websocket-protocol', protocols)
    return request
  }

  /** @returns {boolean} whether it asks for a WebSocket */
  static isWebSocket (request) {
    return request.#websocket
  }
}

/** A write before the request was taken has no caller any more; the request's own promise tells. */
function ignore () {}

function checkObject (options) {
  if (typeof options !== 'object') throw invalid(`expected a Request or an object of its fields, not ${typeof options}`)
  if (options.url === undefined || options.url === null) throw invalid('Missing field `url`')
}

/**
 * The two ends of a connection; a `net.Socket` has these properties.
 *
 * @typedef SocketInfo
 * @property localAddress Host, or path of a unix socket, of `scope["server"]`.
 * @property localPort Port of `scope["server"]`.
 * @property localFamily Not passed on: ASGI has no place for it.
 * @property remoteAddress Host of `scope["client"]`.
 * @property remotePort Port of `scope["client"]`.
 * @property remoteFamily Not passed on: ASGI has no place for it.
 * @property encrypted Whether it is a TLS connection: then `scheme` is `'https'` unless the url says otherwise.
 */

/** What is true of a request besides its method, url, headers and body. */
class Facts {
  constructor ({ socket, scheme, httpVersion, rootPath, state, extensions }) {
    if (socket !== undefined && socket !== null && typeof socket !== 'object') throw invalid('`socket` must be an object')
    this.socket = socket
    this.scheme = scheme
    this.httpVersion = httpVersion
    this.rootPath = rootPath
    this.state = state
    this.extensions = extensions
  }
}

module.exports = { Request, TOKEN, checkMethod, checkObject, invalid, isStream, takeBody, takeChunk, urlText }

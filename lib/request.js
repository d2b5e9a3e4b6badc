'use strict'

// What a handler is asked. Plain JavaScript: it crosses to the native side as one text and one body.

const { PythonHandlerError } = require('./errors.js')
const { Headers } = require('./headers.js')
const { parseTarget, serverOf } = require('./request-target.js')

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-zA-Z]+$/
const BEYOND_LATIN1 = /[^\x00-\xff]/ // eslint-disable-line no-control-regex -- the range of latin-1

/** Methods whose requests have no body unless one is given or announced (RFC 9110 9.3). */
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'DELETE', 'CONNECT'])

/** The lines of a socket that is the same for many requests. */
const socketLines = new WeakMap()

function invalid (message) {
  return new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', message)
}

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

function isStream (body) {
  return typeof body === 'object' && (typeof body[Symbol.asyncIterator] === 'function' || typeof body.getReader === 'function')
}

function isBytes (body) {
  return Buffer.isBuffer(body)
}

/** A chunk of a body as bytes. */
function takeChunk (chunk) {
  if (typeof chunk === 'string') return Buffer.from(chunk)
  if (Buffer.isBuffer(chunk) || chunk instanceof Uint8Array) return chunk
  if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  if (chunk instanceof ArrayBuffer) return Buffer.from(chunk)
  throw invalid(`a chunk of a body must be a Buffer, Uint8Array or string, not ${chunk === null ? 'null' : typeof chunk}`)
}

class Request {
  #method
  #url
  #target
  #headers
  #docroot
  #body
  #options
  /** Chunks written before a handler took the request. */
  #written = null
  #ended = false
  #call = null

  constructor (options) {
    if (options === undefined || options === null) throw invalid('Missing `options` argument')
    if (typeof options !== 'object') throw invalid('`options` must be an object')
    if (options.url === undefined || options.url === null) throw invalid('Missing field `url`')
    this.#headers = options.headers instanceof Headers ? new Headers(options.headers) : new Headers(options.headers)
    this.method = options.method ?? 'GET'
    this.url = options.url
    this.#docroot = null
    if (options.docroot !== undefined && options.docroot !== null) this.docroot = options.docroot
    this.#body = takeBody(options.body)
    this.#options = options
    const { socket } = options
    if (socket !== undefined && socket !== null && typeof socket !== 'object') throw invalid('`socket` must be an object')
  }

  get method () {
    return this.#method
  }

  set method (method) {
    if (typeof method !== 'string' || !TOKEN.test(method)) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_METHOD',
        `invalid method ${JSON.stringify(String(method).slice(0, 80))}: it must be an HTTP token`)
    }
    this.#method = method
  }

  get url () {
    if (this.#target.authority !== '') return this.#url
    const host = this.#headers.get('host')
    return host === null || this.#url === '*' ? this.#url : `https://${host}${this.#url}`
  }

  set url (url) {
    const text = typeof url === 'string' ? url : url instanceof URL ? url.href : undefined
    if (text === undefined) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_URL', `invalid url: expected a string, not ${url === null ? 'null' : typeof url}`)
    }
    this.#target = parseTarget(text)
    this.#url = text
  }

  get path () {
    const { target } = this.#target
    const end = target.search(/[?#]/)
    return end === -1 ? target : target.slice(0, end)
  }

  get headers () {
    return this.#headers
  }

  set headers (headers) {
    this.#headers = headers instanceof Headers ? headers : new Headers(headers)
  }

  get docroot () {
    return this.#docroot
  }

  set docroot (docroot) {
    if (typeof docroot !== 'string') throw invalid('`docroot` must be a string')
    this.#docroot = docroot
  }

  get body () {
    return this.#body
  }

  set body (body) {
    this.#body = takeBody(body)
  }

  async write (chunk) {
    if (this.#body !== null) {
      throw new PythonHandlerError('ERR_PYTHON_BODY', 'Cannot write to request: body has already been provided')
    }
    if (this.#ended) throw new PythonHandlerError('ERR_PYTHON_BODY', 'Cannot write to request: body has already ended')
    const text = typeof chunk === 'string'
    const bytes = takeChunk(chunk)
    if (this.#call !== null) return this.#call.write(bytes, text)
    // Nobody reads yet, so nobody could be waited for. A copy: the caller may use its buffer again.
    this.#written ??= []
    this.#written.push({ bytes: text ? bytes : Buffer.from(bytes), text })
  }

  async end (code, reason) {
    if (this.#body !== null || this.#ended) return
    this.#ended = true
    if (this.#call !== null) this.#call.end(code, reason)
    else this.#written ??= []
  }

  toJSON () {
    const json = { method: this.method, url: this.url, headers: this.#headers.toJSON() }
    if (isBytes(this.#body)) json.body = this.#body
    return json
  }

  /**
   * The request as it crosses to the native side. `streamed`: the caller reads the response as a stream
   * and may write the body meanwhile.
   *
   * @returns {{ head: string, count: number, body: Buffer | undefined, source: object | null, more: boolean, extra: string | undefined }}
   */
  static cross (request, streamed) {
    const options = request.#options
    const target = request.#target
    let lines = Headers.toLines(request.#headers)
    let count = Headers.count(request.#headers)
    if (target.authority !== '' && !request.#headers.has('host')) {
      lines = `\nhost\n${target.authority}${lines}`
      count++
    }
    const head = request.#method + '\n' + target.target + factLines(options, target) + lines
    if (BEYOND_LATIN1.test(head)) throw invalid('a part of the request holds a character above U+00FF')
    const bytes = isBytes(request.#body) ? request.#body : undefined
    const source = bytes === undefined ? request.#body : null
    const more = source !== null || (bytes === undefined && request.#isOpen(streamed))
    return { head, count, body: bytes, source, more, extra: extraOf(options, request.#docroot) }
  }

  #isOpen (streamed) {
    if (this.#written !== null) return true
    if (!streamed || this.#options.complete === true || WITHOUT_BODY.has(this.#method.toUpperCase())) {
      // Nothing was written, and nothing can be: the body is empty.
      this.#ended = true
      return false
    }
    return this.#headers.get('content-length') !== '0' || (this.#ended = true) === false
  }

  /** Connects `write` and `end` to a request in flight. */
  static attach (request, call) {
    request.#call = call
    const written = request.#written
    request.#written = null
    if (written === null) return
    for (const { bytes, text } of written) call.write(bytes, text).catch(ignore)
    if (request.#ended) call.end()
  }

  /** @returns {boolean} whether it asks for a WebSocket */
  static isWebSocket (request) {
    return request.#options.websocket === true
  }
}

/** A write before the request was taken has no caller any more; the request's own promise tells. */
function ignore () {}

/** Scheme, HTTP version, client and server: `\nscheme\nversion\nhost\nport\nhost\nport`. */
function factLines (options, target) {
  const { socket } = options
  const isSocket = socket !== undefined && socket !== null
  const scheme = options.scheme ?? (target.scheme || (isSocket && socket.encrypted === true ? 'https' : 'http'))
  let lines = `\n${scheme}\n${options.httpVersion ?? '1.1'}`
  if (isSocket) {
    let addresses = socketLines.get(socket)
    if (addresses === undefined) {
      addresses = `\n${socket.remoteAddress ?? ''}\n${socket.remotePort ?? ''}\n${socket.localAddress ?? ''}\n${socket.localPort ?? ''}`
      if (Object.isFrozen(socket)) socketLines.set(socket, addresses)
    }
    lines += addresses
  } else if (target.authority !== '') {
    const { host, port } = serverOf(target)
    lines += `\n\n\n${host}\n${port}`
  } else {
    lines += '\n\n\n\n'
  }
  return lines
}

/** What has no place in latin-1, as JSON. */
function extraOf (options, docroot) {
  const { rootPath, state, extensions } = options
  if (rootPath === undefined && docroot === null && state === undefined && extensions === undefined) return undefined
  return JSON.stringify({ rootPath, docroot, state, extensions })
}

/** @param {unknown} request a Request, or a plain object of its fields: complete as it is */
function toRequest (request) {
  if (request instanceof Request) return request
  if (request === null || typeof request !== 'object') {
    throw invalid(`expected a Request or an object of its fields, not ${request === null ? 'null' : typeof request}`)
  }
  return new Request({ ...request, complete: true })
}

module.exports = { Request, toRequest, takeChunk }

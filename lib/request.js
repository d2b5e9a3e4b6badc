'use strict'

// What a handler is asked. Plain JavaScript: it crosses to the native side as one text and one body.

const { PythonHandlerError } = require('./errors.js')
const { Headers } = require('./headers.js')
const { toJson } = require('./json.js')
const { parseTarget, serverOf } = require('./request-target.js')

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-zA-Z]+$/
const CONTROL = /[\x00-\x1f\x7f]/
const BEYOND_LATIN1 = /[^\x00-\xff]/

/** Methods whose requests have no body unless one is given or announced (RFC 9110 9.3). */
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'DELETE', 'CONNECT'])

/** The lines of a socket that is the same for many requests. */
const socketLines = new WeakMap()

function invalid (message) {
  return new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', message)
}

function bodyError (message) {
  return new PythonHandlerError('ERR_PYTHON_BODY', message)
}

function invalidMethod (method) {
  return new PythonHandlerError('ERR_PYTHON_INVALID_METHOD',
    `invalid method ${JSON.stringify(String(method).slice(0, 80))}: it must be an HTTP token`)
}

function urlText (url) {
  if (typeof url === 'string') return url
  if (url instanceof URL) return url.href
  if (url === undefined || url === null) throw invalid('Missing field `url`')
  throw new PythonHandlerError('ERR_PYTHON_INVALID_URL', `invalid url: expected a string, not ${typeof url}`)
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
  /** A body that is written or streamed can be read once. */
  #used = false

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

  get method () {
    return this.#method
  }

  set method (method) {
    if (typeof method !== 'string' || !TOKEN.test(method)) throw invalidMethod(method)
    this.#method = method
  }

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

  async end (code, reason) {
    if (this.#body !== null || this.#ended) return
    this.#ended = true
    if (this.#call !== null) this.#call.end(code, reason)
    else this.#written ??= []
  }

  toJSON () {
    const json = { method: this.method, url: this.url, headers: this.#headers.toJSON() }
    if (Buffer.isBuffer(this.#body)) json.body = this.#body
    return json
  }

  /**
   * The request as it crosses to the native side. `streamed`: the caller reads the response as a stream
   * and may write the body meanwhile.
   *
   * @returns {Crossing}
   */
  static cross (request, streamed) {
    if (request.#used) throw bodyError('the body of this request was written or streamed to a handler before')
    const lines = Headers.toLines(request.#headers)
    const count = Headers.count(request.#headers)
    const hasHost = request.#target.authority === '' || request.#headers.has('host')
    const body = request.#body
    cross(request.#method, request.#target, request.#facts, lines, count, hasHost, request.#docroot)
    if (body === null) {
      crossing.more = request.#isOpen(streamed)
    } else {
      crossBody(body)
    }
    request.#used = crossing.more
    return crossing
  }

  #isOpen (streamed) {
    if (this.#written !== null) return true
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
    if (request.#ended) call.end()
  }

  /** @returns {boolean} whether it asks for a WebSocket */
  static isWebSocket (request) {
    return request.#websocket
  }
}

/** A write before the request was taken has no caller any more; the request's own promise tells. */
function ignore () {}

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

/**
 * @typedef {object} Crossing a request as it crosses to the native side
 * @property {string} head
 * @property {number} count headers
 * @property {Buffer | undefined} body complete
 * @property {object | null} source a stream to read the body from
 * @property {boolean} more whether the body follows
 * @property {string | undefined} extra JSON
 */

/** The one that crosses now: used up at once, so one object serves all. */
const crossing = { head: '', count: 0, body: undefined, source: null, more: false, extra: undefined }

function cross (method, target, facts, lines, count, hasHost, docroot) {
  if (!hasHost) {
    lines = `\nhost\n${target.authority}${lines}`
    count++
  }
  const head = method + '\n' + target.target + factLines(facts, target) + lines
  if (BEYOND_LATIN1.test(head)) {
    throw BEYOND_LATIN1.test(lines)
      ? new PythonHandlerError('ERR_PYTHON_INVALID_HEADER', 'a header holds a character above U+00FF')
      : invalid('the scheme or socket holds a character above U+00FF')
  }
  crossing.head = head
  crossing.count = count
  crossing.body = undefined
  crossing.source = null
  crossing.more = false
  crossing.extra = extraOf(facts, docroot)
}

function crossBody (body) {
  if (Buffer.isBuffer(body)) {
    crossing.body = body
  } else {
    crossing.source = body
    crossing.more = true
  }
}

function checkObject (options) {
  if (typeof options !== 'object') throw invalid(`expected a Request or an object of its fields, not ${typeof options}`)
  if (options.url === undefined || options.url === null) throw invalid('Missing field `url`')
}

/**
 * A plain object of a request's fields, complete as it is: no Request is made of it.
 *
 * @returns {Crossing}
 */
function crossPlain (options) {
  const { url, headers, body } = options
  const method = options.method ?? 'GET'
  const docroot = options.docroot ?? null
  if (typeof method !== 'string' || !TOKEN.test(method)) throw invalidMethod(method)
  const target = parseTarget(urlText(url))
  let lines = ''
  let count = 0
  let hasHost = target.authority === ''
  if (headers !== undefined && headers !== null) {
    if (isPlain(headers)) {
      for (const name in headers) {
        const value = headers[name]
        if (typeof value !== 'string' || !Object.hasOwn(headers, name)) {
          lines = undefined
          break
        }
        if (!hasHost && name.length === 4 && name.toLowerCase() === 'host') hasHost = true
        lines += '\n' + name + '\n' + value
        count++
      }
    } else {
      lines = undefined
    }
    if (lines === undefined) {
      // Lists, numbers, pairs, Headers: the general way.
      const read = headers instanceof Headers ? headers : new Headers(headers)
      lines = Headers.toLines(read)
      count = Headers.count(read)
      hasHost ||= read.has('host')
    }
  }
  if (docroot !== null && typeof docroot !== 'string') throw invalid('`docroot` must be a string')
  cross(method, target, options, lines, count, hasHost, docroot)
  const taken = takeBody(body)
  if (taken !== null) crossBody(taken)
  return crossing
}

function isPlain (headers) {
  if (typeof headers !== 'object') return false
  const prototype = Object.getPrototypeOf(headers)
  return prototype === Object.prototype || prototype === null
}

function checkWord (name, value) {
  if (value !== undefined && (typeof value !== 'string' || CONTROL.test(value))) throw invalid(`\`${name}\` must be a word`)
}

/** Scheme, HTTP version, client and server: `\nscheme\nversion\nhost\nport\nhost\nport`. */
function factLines ({ socket, scheme, httpVersion }, target) {
  if ((socket === undefined || socket === null) && scheme === undefined && httpVersion === undefined && target.authority === '') {
    return '\nhttp\n1.1\n\n\n\n'
  }
  const isSocket = socket !== undefined && socket !== null
  if (isSocket && typeof socket !== 'object') throw invalid('`socket` must be an object')
  checkWord('scheme', scheme)
  checkWord('httpVersion', httpVersion)
  scheme ??= target.scheme || (isSocket && socket.encrypted === true ? 'https' : 'http')
  const lines = `\n${scheme}\n${httpVersion ?? '1.1'}`
  if (isSocket) {
    let addresses = socketLines.get(socket)
    if (addresses === undefined) {
      const parts = [socket.remoteAddress ?? '', socket.remotePort ?? '', socket.localAddress ?? '', socket.localPort ?? '']
      if (parts.some(part => CONTROL.test(part))) throw invalid('`socket` holds a control character')
      addresses = '\n' + parts.join('\n')
      if (Object.isFrozen(socket)) socketLines.set(socket, addresses)
    }
    return lines + addresses
  }
  if (target.authority === '') return `${lines}\n\n\n\n`
  const { host, port } = serverOf(target)
  return `${lines}\n\n\n${host}\n${port}`
}

/** What has no place in latin-1, as JSON. */
function extraOf ({ rootPath, state, extensions }, docroot) {
  if (rootPath === undefined && docroot === null && state === undefined && extensions === undefined) return undefined
  if (rootPath !== undefined && typeof rootPath !== 'string') throw invalid('`rootPath` must be a string')
  const parts = [`"rootPath":${JSON.stringify(rootPath ?? null)}`, `"docroot":${JSON.stringify(docroot)}`]
  if (state !== undefined && state !== null) parts.push(`"state":${toJson('state', state)}`)
  if (extensions !== undefined && extensions !== null) parts.push(`"extensions":${toJson('extensions', extensions)}`)
  return `{${parts.join()}}`
}

module.exports = { Request, crossPlain, takeChunk }

'use strict'

// A WebSocket to an application in this process: the surface of the standard's class, without frames or a network.

const { AsyncResource } = require('node:async_hooks')
const { PythonHandlerError } = require('./errors.js')
const { checkSignal } = require('./abort.js')
const { Call, MESSAGE_COST } = require('./call.js')
const { Headers } = require('./headers.js')
const { Request, TOKEN, invalid } = require('./request.js')

const CONNECTING = 0
const OPEN = 1
const CLOSING = 2
const CLOSED = 3

/** The longest reason that fits a close frame (RFC 6455 5.5). */
const LONGEST_REASON = 123

class WebSocketEvent extends Event {
  constructor (type, fields) {
    super(type)
    for (const name of Object.keys(fields)) Object.defineProperty(this, name, { value: fields[name], enumerable: true })
  }
}

class PythonWebSocket extends EventTarget {
  static CONNECTING = CONNECTING
  static OPEN = OPEN
  static CLOSING = CLOSING
  static CLOSED = CLOSED

  #call
  #url
  #readyState = CONNECTING
  #protocol = ''
  #headers = null
  #binaryType = 'nodebuffer'
  #buffered = 0
  #handlers = new Map()
  /** A Blob that is being read, and the messages sent since; the close that waits for them. */
  #unsent = []
  #unsentLength = 0
  #whenSent = null
  /** Messages that nobody has taken yet, and those who wait for one. */
  #messages = []
  #waiting = []
  #listens = false
  /** Whether what came before somebody listened is about to be told. */
  #isFlushing = false
  #error = null
  #closing = null
  #resource = new AsyncResource('PythonWebSocket')

  constructor (service, target, options) {
    super()
    const { signal, headers, protocols } = optionsOf(options)
    const request = requestOf(target, headers ?? undefined, offerOf(protocols ?? []))
    this.#url = request.url
    // Told a turn later: whoever connects listens only then.
    const failed = error => queueMicrotask(() => this.#failed(error))
    this.#call = new Call(service, checkSignal(signal), response => this.#refused(response), failed)
    this.#call.attachSocket({
      accepted: headers => this.#accepted(headers),
      message: (text, bytes) => this.#message(text, bytes),
      drained: () => { this.#buffered = 0 },
      closed: (code, reason) => this.#closed(code, reason),
      failed: error => this.#failed(error),
      goAway: () => this.#leave(1001, '')
    })
    this.#call.submit(request, true)
  }

  get CONNECTING () { return CONNECTING }
  get OPEN () { return OPEN }
  get CLOSING () { return CLOSING }
  get CLOSED () { return CLOSED }

  get url () { return this.#url }
  get readyState () { return this.#readyState }
  get protocol () { return this.#protocol }
  get extensions () { return '' }
  get headers () { return this.#headers }
  get bufferedAmount () { return this.#buffered + this.#unsentLength }

  get binaryType () { return this.#binaryType }
  set binaryType (type) {
    if (type !== 'nodebuffer' && type !== 'arraybuffer' && type !== 'blob') return
    this.#binaryType = type
  }

  send (data) {
    const text = typeof data === 'string'
    const isBlob = data instanceof Blob
    const bytes = isBlob ? data : toBytes(data)
    const length = isBlob ? data.size : bytes.length
    if (this.#readyState >= CLOSING) {
      this.#buffered += length
    } else if (isBlob || this.#unsent.length > 0) {
      // A copy: the caller may use its buffer again.
      this.#unsent.push({ text, bytes: isBlob ? bytes : Buffer.from(bytes), length })
      this.#unsentLength += length
      if (this.#unsent.length === 1) this.#sendUnsent()
    } else {
      this.#write(bytes, text)
    }
  }

  #write (bytes, text) {
    this.#call.write(bytes, text).catch(ignore)
    if (!this.#call.hasRoom) this.#buffered += bytes.length
  }

  async #sendUnsent () {
    try {
      while (this.#unsent.length > 0) {
        const { text, bytes, length } = this.#unsent[0]
        const whole = bytes instanceof Blob ? Buffer.from(await bytes.arrayBuffer()) : bytes
        this.#unsent.shift()
        this.#unsentLength -= length
        this.#write(whole, text)
      }
    } catch (error) {
      // A Blob of a file that has changed.
      this.#unsent = []
      this.#call.abort(error)
    }
    this.#whenSent?.()
  }

  close (code, reason = '') {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException(`The close code must be 1000 or 3000 to 4999, not ${code}`, 'InvalidAccessError')
    }
    if (Buffer.byteLength(String(reason)) > LONGEST_REASON) {
      throw new DOMException(`The close reason must be at most ${LONGEST_REASON} bytes of UTF-8`, 'SyntaxError')
    }
    this.#leave(code ?? 1005, String(reason))
  }

  #leave (code, reason) {
    if (this.#readyState >= CLOSING) return
    const wasOpen = this.#readyState === OPEN
    this.#readyState = CLOSING
    const finish = () => {
      this.#call.close(wasOpen ? code : 1006, reason)
      queueMicrotask(() => this.#end(wasOpen ? code : 1006, reason, wasOpen))
    }
    if (wasOpen && this.#unsent.length > 0) this.#whenSent = finish
    else finish()
  }

  // -------------------------------------------------------------------- from the call

  #accepted (headers) {
    if (this.#readyState !== CONNECTING) return
    this.#readyState = OPEN
    this.#headers = headers
    this.#protocol = headers.get('sec-websocket-protocol') ?? ''
    this.#emit(new Event('open'))
  }

  #message (text, bytes) {
    if (this.#readyState !== OPEN) return
    const data = text ? bytes.toString() : bytes
    if (this.#waiting.length > 0) {
      this.#call.consume(bytes.length + MESSAGE_COST)
      this.#waiting.shift().resolve(data)
    } else if (this.#listens && !this.#isFlushing) {
      this.#call.consume(bytes.length + MESSAGE_COST)
      this.#emitMessage(data)
    } else {
      this.#messages.push({ data, length: bytes.length })
    }
  }

  #closed (code, reason) {
    if (this.#readyState < CLOSING) this.#end(code, reason, true)
  }

  #failed (error) {
    if (this.#readyState === CLOSED) return
    this.#error = error
    this.#emit(new WebSocketEvent('error', { error, message: error?.message ?? String(error) }))
    this.#end(CODES[error?.code] ?? 1006, '', false)
  }

  #refused (response) {
    this.#failed(new PythonHandlerError('ERR_PYTHON_WEBSOCKET_REFUSED',
      `the application refused the WebSocket with status ${response.status}`, { status: response.status, response }))
  }

  #end (code, reason, wasClean) {
    if (this.#readyState === CLOSED) return
    this.#readyState = CLOSED
    this.#closing = { code, reason }
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#error === null) resolve(null)
      else reject(this.#error)
    }
    const close = () => this.#emit(new WebSocketEvent('close', { code, reason, wasClean }))
    if (this.#isFlushing) queueMicrotask(close)
    else close()
  }

  // ------------------------------------------------------------------------- events

  addEventListener (type, listener, options) {
    super.addEventListener(type, listener, options)
    if (type === 'message') this.#startListening()
  }

  #startListening () {
    if (this.#listens) return
    this.#listens = true
    this.#isFlushing = true
    // As events of their own turn: whoever listens has just begun to.
    queueMicrotask(() => {
      this.#isFlushing = false
      for (const { data, length } of this.#messages.splice(0)) {
        this.#call.consume(length + MESSAGE_COST)
        this.#emitMessage(data)
      }
    })
  }

  #emitMessage (data) {
    this.#emit(new MessageEvent('message', { data: typeof data === 'string' ? data : this.#binary(data), origin: '' }))
  }

  #binary (bytes) {
    if (this.#binaryType === 'nodebuffer') return bytes
    const own = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
    return this.#binaryType === 'arraybuffer' ? own : new Blob([own])
  }

  /** In the async context of whoever connected. */
  #emit (event) {
    this.#resource.runInAsyncScope(this.dispatchEvent, this, event)
  }

  #setHandler (type, handler) {
    const earlier = this.#handlers.get(type)
    if (earlier !== undefined) this.removeEventListener(type, earlier)
    this.#handlers.delete(type)
    if (typeof handler === 'function') {
      this.#handlers.set(type, handler)
      this.addEventListener(type, handler)
    }
  }

  get onopen () { return this.#handlers.get('open') ?? null }
  set onopen (handler) { this.#setHandler('open', handler) }
  get onmessage () { return this.#handlers.get('message') ?? null }
  set onmessage (handler) { this.#setHandler('message', handler) }
  get onerror () { return this.#handlers.get('error') ?? null }
  set onerror (handler) { this.#setHandler('error', handler) }
  get onclose () { return this.#handlers.get('close') ?? null }
  set onclose (handler) { this.#setHandler('close', handler) }

  // ---------------------------------------------------------------------- iteration

  #next () {
    const message = this.#messages.shift()
    if (message !== undefined) {
      this.#call.consume(message.length + MESSAGE_COST)
      return Promise.resolve(message.data)
    }
    if (this.#error !== null) return Promise.reject(this.#error)
    if (this.#readyState >= CLOSING) return Promise.resolve(null)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  async * [Symbol.asyncIterator] () {
    try {
      for (let message = await this.#next(); message !== null; message = await this.#next()) yield message
    } finally {
      this.#leave(1000, '')
    }
  }

  get [Symbol.toStringTag] () {
    return 'WebSocket'
  }

  [Symbol.for('nodejs.util.inspect.custom')] (_depth, options, inspect) {
    return `PythonWebSocket ${inspect({ url: this.#url, readyState: this.#readyState, protocol: this.#protocol, closed: this.#closing }, options)}`
  }
}

/** What a server would say with the connection's last frame (RFC 6455 7.4.1). */
const CODES = { ERR_PYTHON_EXCEPTION: 1011, ERR_PYTHON_MESSAGE_TOO_LARGE: 1009 }

/** The 'error' event tells. */
function ignore () {}

/** What `connect` takes besides its target: options, or protocols alone as the standard's class. */
function optionsOf (options) {
  if (options === undefined || options === null) return {}
  if (typeof options === 'string' || Array.isArray(options)) return { protocols: options }
  if (typeof options !== 'object') throw invalid(`expected options or protocols, not ${typeof options}`)
  return options
}

/** @returns {string} the protocols as a header has them; '' for none */
function offerOf (protocols) {
  const offered = typeof protocols === 'string' ? [protocols] : protocols
  if (!Array.isArray(offered) || !offered.every(protocol => typeof protocol === 'string')) {
    throw invalid('`protocols` must be a string or strings')
  }
  // A SyntaxError of the standard's class (RFC 6455 4.1).
  if (!offered.every(protocol => TOKEN.test(protocol))) throw invalid('`protocols` must be HTTP tokens')
  if (new Set(offered).size !== offered.length) throw invalid('`protocols` must not repeat one')
  return offered.join(', ')
}

function requestOf (target, headers, offer) {
  const isUrl = typeof target !== 'object' || target === null || target instanceof URL
  if (!isUrl && headers !== undefined) throw invalid('`headers` are of a url only: a request has its own')
  if (target instanceof Request) return Request.toWebSocket(target, offer)
  const fields = isUrl ? { url: target, headers, websocket: true } : { ...target, websocket: true }
  if (offer !== '') {
    fields.headers = new Headers(fields.headers)
    fields.headers.set('sec-websocket-protocol', offer)
  }
  return new Request(fields)
}

function toBytes (data) {
  if (typeof data === 'string') return Buffer.from(data)
  if (Buffer.isBuffer(data)) return data
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  if (data instanceof ArrayBuffer) return Buffer.from(data)
  throw invalid(`a message must be a string, Buffer, ArrayBuffer, view or Blob, not ${data === null ? 'null' : typeof data}`)
}

module.exports = { PythonWebSocket }

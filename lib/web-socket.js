'use strict'

// A WebSocket to an application in this process: the surface of the standard's class, without frames or a network.

const { AsyncResource } = require('node:async_hooks')
const { getEventListeners } = require('node:events')
const { PythonHandlerError } = require('./errors.js')
const { checkSignal } = require('./abort.js')
const { Call, MESSAGE_COST } = require('./call.js')
const { queueMicrotask } = require('./timers.js')
const { afterTurn } = require('./turn.js')
const { bytesOf, closeCodeOf, closeReasonOf, offerOf, optionsOf, originOf, requestOf, urlOf } = require('./web-socket-arguments.js')

const CONNECTING = 0
const OPEN = 1
const CLOSING = 2
const CLOSED = 3

/** Close codes (RFC 6455 7.4.1): left a loop, a handler that closes, none given, a broken connection. */
const NORMAL = 1000
const GOING_AWAY = 1001
const NO_STATUS = 1005
const ABNORMAL = 1006

/**
 * The events of a `PythonWebSocket`.
 *
 * @typedef PythonWebSocketEvents
 * @property message A message; binary as `binaryType` says. `origin` is that of the url, `''` for a path.
 * @property error What went wrong; `close` follows, with code 1006, after the accept also 1011 (the application raised) or 1009
 *   (`maxMessageSize`). Of the caller's own `close()` before the accept it is an `AbortError`.
 */

class WebSocketEvent extends Event {
  constructor (type, fields) {
    super(type)
    for (const name of Object.keys(fields)) Object.defineProperty(this, name, { value: fields[name], enumerable: true })
  }
}

/**
 * A WebSocket to an application in this process, from `handler.connect()`: the surface of the standard's
 * `WebSocket`, and async iteration over its messages. A message goes to whoever iterates, else to the listeners;
 * while there is none of them, messages wait, and may be read after the close. Each event has a turn of its own: code
 * that awaits one can ask for the next.
 */
class PythonWebSocket extends EventTarget {
  static CONNECTING = CONNECTING
  static OPEN = OPEN
  static CLOSING = CLOSING
  static CLOSED = CLOSED

  #call
  #url
  #origin
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
  /** Whether somebody listens for messages, and whether that has to be asked: a listener may have gone. */
  #listens = false
  #mayHaveGone = false
  /** What is told after the messages, one in each turn: the error, the close. */
  #endings = []
  #isEnding = false
  /** Whether an event was told in this turn. Whoever waited for it has the turn to ask for the next. */
  #isBusy = false
  /** Whether a loop over the messages ends with an error, and with which: any value. */
  #hasFailed = false
  #error = undefined
  #closing = null
  #resource = new AsyncResource('PythonWebSocket')

  constructor (service, target, options) {
    super()
    const { signal, headers, protocols } = optionsOf(options)
    const request = requestOf(target, headers ?? undefined, offerOf(protocols ?? []))
    this.#url = urlOf(request)
    this.#origin = originOf(this.#url)
    // Told a turn later: whoever connects listens only then.
    const failed = error => queueMicrotask(() => this.#failed(error))
    this.#call = new Call(service, checkSignal(signal), response => this.#refused(response), failed)
    this.#call.attachSocket({
      accepted: headers => this.#accepted(headers),
      message: (text, bytes) => this.#message(text, bytes),
      drained: () => { this.#buffered = 0 },
      closed: (code, reason) => this.#closed(code, reason),
      failed: error => this.#failed(error),
      goAway: () => this.#leave(GOING_AWAY, '', new PythonHandlerError('ERR_PYTHON_CLOSED', 'the handler is closed'))
    })
    this.#call.submit(request, true)
  }

  get CONNECTING () { return CONNECTING }
  get OPEN () { return OPEN }
  get CLOSING () { return CLOSING }
  get CLOSED () { return CLOSED }

  /** The url: `ws:` or `wss:`, without a fragment; a path where the target says no host. */
  get url () { return this.#url }
  /** One of the four. */
  get readyState () { return this.#readyState }
  /** The subprotocol that the application chose, `''` where it chose none. */
  get protocol () { return this.#protocol }
  /** `''`: there are no frames to compress. */
  get extensions () { return '' }
  /** The headers that the application accepted with; null before. */
  get headers () { return this.#headers }
  /** Bytes sent while the call waits for room, or since the application's side was full; 0 once it has room again. */
  get bufferedAmount () { return this.#buffered + this.#unsentLength }

  /** What binary messages are to listeners; another value is ignored. Default: `'nodebuffer'`. */
  get binaryType () { return this.#binaryType }
  set binaryType (type) {
    if (type !== 'nodebuffer' && type !== 'arraybuffer' && type !== 'blob') return
    this.#binaryType = type
  }

  /**
   * Sends a message: a string as text, anything else binary. Those after a `Blob` wait until it is read, and so does
   * `close()`. Before the accept it is kept for the application, where the standard throws; after `close()` it is dropped.
   * Other primitives are sent as their text.
   *
   * @throws {PythonHandlerError} `ERR_PYTHON_INVALID_ARGUMENT` for another object, or a buffer that is detached
   * @throws {TypeError} for a symbol
   */
  send (data) {
    // Primitives become strings, as in browsers.
    const text = data === null || (typeof data !== 'object' && typeof data !== 'function')
    const isBlob = data instanceof Blob
    const bytes = isBlob ? data : bytesOf(data)
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

  /**
   * Closes; the application receives `websocket.disconnect`. Before the accept that is a failure: an `error` event, and
   * 1006 to both sides. Listeners get no message any more.
   *
   * @param code 1000, or 3000 to 4999. Default: none (1005).
   * @param reason At most 123 bytes of UTF-8; dropped without a code. Default: `''`.
   * @throws {DOMException} `InvalidAccessError` for the code, `SyntaxError` for the reason
   * @throws {TypeError} for a code that is no number, such as a BigInt
   */
  close (code, reason) {
    const closeCode = code === undefined ? NO_STATUS : closeCodeOf(code)
    const closeReason = closeReasonOf(reason)
    // Without a code there is no place for a reason in the frame (RFC 6455 5.5.1).
    this.#leave(closeCode, code === undefined ? '' : closeReason)
  }

  /** @param {Error} [cause] what an open that fails by this is told to have failed with */
  #leave (code, reason, cause) {
    if (this.#readyState >= CLOSING) return
    const wasOpen = this.#readyState === OPEN
    this.#readyState = CLOSING
    // Listeners get no message any more (WHATWG WebSockets, "a WebSocket message has been received").
    if (this.#isListenedTo()) this.#messages = []
    this.#rest()
    if (!wasOpen) {
      this.#call.close(ABNORMAL, '')
      const error = cause ?? new DOMException('The WebSocket was closed before it was open', 'AbortError')
      this.#end(() => this.#tellError(error), () => this.#tellClose(ABNORMAL, '', false))
      return
    }
    const finish = () => {
      this.#call.close(code, reason)
      this.#end(() => this.#tellClose(code, reason, true))
    }
    if (this.#unsent.length > 0) this.#whenSent = finish
    else finish()
  }

  // -------------------------------------------------------------------- from the call

  #accepted (headers) {
    if (this.#readyState !== CONNECTING) return
    this.#readyState = OPEN
    this.#headers = headers
    this.#protocol = headers.get('sec-websocket-protocol') ?? ''
    this.#rest()
    this.#emit(new Event('open'))
  }

  #message (text, bytes) {
    if (this.#readyState !== OPEN) return
    this.#messages.push({ data: text ? bytes.toString() : bytes, length: bytes.length })
    if (this.#waiting.length > 0) this.#waiting.shift().resolve(this.#take())
    else this.#tellNext()
  }

  #closed (code, reason) {
    this.#end(() => this.#tellClose(code, reason, true))
  }

  #failed (error) {
    // Before the accept there is no frame that could say why.
    const code = this.#headers === null ? ABNORMAL : CODES[error?.code] ?? ABNORMAL
    this.#end(() => this.#fail(error), () => this.#tellClose(code, '', false))
  }

  #refused (response) {
    const isRead = watchReading(response)
    const error = new PythonHandlerError('ERR_PYTHON_WEBSOCKET_REFUSED',
      `the application refused the WebSocket with status ${response.status}`, { status: response.status, response })
    this.#end(() => this.#fail(error), () => {
      if (!isRead()) response.cancel()
      this.#tellClose(ABNORMAL, '', false)
    })
  }

  /** The first end counts. */
  #end (...endings) {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#endings = endings
    this.#tellNext()
  }

  // ------------------------------------------------------------------------- events

  #tellNext () {
    if (this.#isBusy) return
    if (this.#messages.length > 0 && this.#isListenedTo()) {
      this.#rest()
      this.#emitMessage(this.#take())
    } else if (this.#endings.length > 0) {
      this.#rest()
      this.#endings.shift()()
    }
  }

  /** What comes next is told in another turn. */
  #rest () {
    if (this.#isBusy) return
    this.#isBusy = true
    afterTurn(this.#wake)
  }

  #wake = () => {
    this.#isBusy = false
    this.#tellNext()
  }

  /** The first message. The application may send more for it only now. */
  #take () {
    const { data, length } = this.#messages.shift()
    this.#call.consume(length + MESSAGE_COST)
    return data
  }

  /** A loop over the messages fails with what the application or the signal broke it off with. */
  #fail (error) {
    this.#hasFailed = true
    this.#error = error
    this.#tellError(error)
  }

  #tellError (error) {
    this.#settleClosed()
    this.#emit(new WebSocketEvent('error', { error, message: error?.message ?? String(error) }))
  }

  #tellClose (code, reason, wasClean) {
    this.#settleClosed()
    this.#closing = { code, reason }
    this.#emit(new WebSocketEvent('close', { code, reason, wasClean }))
  }

  #settleClosed () {
    this.#readyState = CLOSED
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#hasFailed) reject(this.#error)
      else resolve(null)
    }
  }

  addEventListener (type, listener, options) {
    super.addEventListener(type, listener, options)
    if (type !== 'message') return
    if (!listener || options?.once || options?.signal) this.#mayHaveGone = true
    this.#listens = true
    // In a turn of their own: whoever listens has just begun to.
    if (this.#messages.length > 0) this.#rest()
  }

  removeEventListener (type, listener, options) {
    super.removeEventListener(type, listener, options)
    if (type === 'message') this.#mayHaveGone = true
  }

  #isListenedTo () {
    if (this.#listens && this.#mayHaveGone) {
      this.#listens = getEventListeners(this, 'message').length > 0
      this.#mayHaveGone = this.#listens
    }
    return this.#listens
  }

  #emitMessage (data) {
    this.#emit(new MessageEvent('message', { data: typeof data === 'string' ? data : this.#binary(data), origin: this.#origin }))
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

  /** As event handlers of HTML: a listener of its own, whose place another handler takes over. */
  #setHandler (type, handler) {
    const kept = this.#handlers.get(type)
    if (typeof handler !== 'function') {
      if (kept !== undefined) this.removeEventListener(type, kept.listener)
      this.#handlers.delete(type)
    } else if (kept !== undefined) {
      kept.handler = handler
    } else {
      const added = { handler, listener: event => added.handler.call(this, event) }
      this.#handlers.set(type, added)
      this.addEventListener(type, added.listener)
    }
  }

  #handlerOf (type) {
    return this.#handlers.get(type)?.handler ?? null
  }

  get onopen () { return this.#handlerOf('open') }
  set onopen (handler) { this.#setHandler('open', handler) }
  get onmessage () { return this.#handlerOf('message') }
  set onmessage (handler) { this.#setHandler('message', handler) }
  get onerror () { return this.#handlerOf('error') }
  set onerror (handler) { this.#setHandler('error', handler) }
  get onclose () { return this.#handlerOf('close') }
  set onclose (handler) { this.#setHandler('close', handler) }

  // ---------------------------------------------------------------------- iteration

  #next () {
    if (this.#messages.length > 0) return Promise.resolve(this.#take())
    if (this.#hasFailed) return Promise.reject(this.#error)
    if (this.#readyState >= CLOSING) return Promise.resolve(null)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** The messages, until it is closed; rejects with what broke it off. To leave the loop closes with code 1000. */
  // No generator: its `return()` would wait for the message that a pending `next()` waits for.
  [Symbol.asyncIterator] () {
    let isOver = false
    return {
      next: async () => {
        if (isOver) return { value: undefined, done: true }
        try {
          const value = await this.#next()
          if (value !== null) return { value, done: false }
        } catch (error) {
          isOver = true
          throw error
        }
        isOver = true
        return { value: undefined, done: true }
      },
      return: async value => {
        if (!isOver) this.#leave(NORMAL, '')
        isOver = true
        return { value, done: true }
      },
      [Symbol.asyncIterator] () { return this }
    }
  }

  /** `'WebSocket'` */
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

/** @returns {() => boolean} whether somebody has begun to read the body of `response` */
function watchReading (response) {
  let isRead = false
  for (const name of ['next', 'stream', Symbol.asyncIterator]) {
    const read = response[name]
    Object.defineProperty(response, name, {
      configurable: true,
      value () {
        isRead = true
        return read.call(this)
      }
    })
  }
  return () => isRead
}

module.exports = { PythonWebSocket }

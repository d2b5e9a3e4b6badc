'use strict'

// One request in flight, from `submit` to its last event: settles its promise, carries its bodies, ends it early. Made by the
// handler or a WebSocket, on the JS thread; held by the environment from `begin` on, until it is over.

const { PythonHandlerError } = require('./errors.js')
const { unwatch, watch } = require('./abort.js')
const { BodyReader } = require('./body-reader.js')
const { BodySource } = require('./body-source.js')
const { Callbacks } = require('./callbacks.js')
const { cross } = require('./crossing.js')
const { Trace } = require('./diagnostics.js')
const { Headers } = require('./headers.js')
const notices = require('./notice.js')
const { OpenResponse } = require('./open-response.js')
const { Request } = require('./request.js')
const { Response } = require('./response.js')
const { Upload, pump } = require('./upload.js')
const { Waiting } = require('./waiting.js')

/** How the response is wanted: the numbers of src/addon.rs. */
const BUFFERED = 0
const STREAM = 1
const WEB_SOCKET = 2

/** Close codes of a connection that broke, and of one that ended without a code (RFC 6455 7.4.1). */
const ABNORMAL = 1006
const NO_STATUS = 1005

/** Ours when the handler closes. */
const GOING_AWAY = 1001

/** That of a message above the limit. */
const TOO_LARGE = 1009

/** What a message counts besides its bytes: that of src/exchange/mod.rs. */
const MESSAGE_COST = 64

/** Before it begins, while it is in flight, and after. */
const WAITING = 0
const BEGUN = 1
const OVER = 2

class Call {
  #service
  #id = 0
  #resolve
  #reject
  #signal
  #callbacks
  #isWatching = false
  /** Whether files of its body are read although it is over. */
  #isReading = false
  /** The response, once it goes on after its head. */
  #open = null
  #trailers = null
  #socket = null
  #isWebSocket = false
  #isStream = false
  /** Made when something is written. */
  #upload = null
  #settled = false
  #state = WAITING
  #request = null
  /** What is kept until there is room. */
  #waiting = null
  /** The stream that its body is read from. */
  #source = null
  #streamed = false
  #trace = null
  #closing = null
  /** The request, as long as somebody holds it, who may write to it. */
  #writer = null
  deadline = 0

  /**
   * @param {import('./handler.js').Service} service
   * @param {AbortSignal | undefined} signal
   * @param {object} [options] callbacks and flags of the caller
   */
  constructor (service, signal, resolve, reject, options) {
    this.#service = service
    this.#signal = signal
    this.#resolve = resolve
    this.#reject = reject
    this.#callbacks = options === undefined ? null : new Callbacks(options)
  }

  /**
   * Takes the request, as it is now. It begins now, or when there is room. Throws what is wrong with it; whoever calls gives
   * a stream that is its body back then.
   */
  submit (request, streamed) {
    const signal = this.#signal
    const service = this.#service
    this.#id = service.environment.nextId()
    this.#trace = Trace.begin(this.#id, request)
    if (signal !== undefined && signal.aborted) {
      this.#finish('aborted', signal.reason)
      this.#fail(signal.reason)
      return
    }
    try {
      this.#request = request
      this.#streamed = streamed
      const crossing = cross(request, streamed)
      service.limits.check(crossing)
      this.#isWebSocket = crossing.isWebSocket
      if (crossing.source !== null) this.#take(crossing.source)
      service.admit(this, crossing)
    } catch (error) {
      this.#state = OVER
      service.refuse(error)
      this.#trace?.end(error)
      throw error
    }
    if (this.#state === OVER) return
    service.deadlines?.add(this)
    if (signal !== undefined) {
      this.#isWatching = true
      watch(signal, this)
    }
  }

  #take (stream) {
    const source = new BodySource(stream)
    source.take()
    this.#source = source
  }

  /** There is no room yet: the request is kept. */
  wait (crossing) {
    this.#waiting = new Waiting(crossing, this.#callbacks)
  }

  /** Gives the request to the application. Throws what is wrong with it. */
  begin (crossing) {
    const service = this.#service
    const request = this.#request
    const streamed = this.#streamed
    const callbacks = this.#callbacks
    const { head, count, body, more, extra, isWebSocket } = crossing
    const mode = isWebSocket ? WEB_SOCKET : streamed ? STREAM : BUFFERED
    const capabilities = callbacks === null
      ? (streamed ? notices.OF_STREAM : notices.OF_BUFFERED)
      : callbacks.capabilities(streamed)
    const id = this.#id
    const failure = service.native.submit(service.key, service.highWaterMark, id, mode, capabilities, head, count, body, more || isWebSocket, extra)
    // Used up: it is one object for all requests, and must not keep this one's body.
    crossing.body = crossing.source = crossing.extra = undefined
    if (failure) throw PythonHandlerError.fromNative(failure)
    this.#state = BEGUN
    this.#request = null
    service.environment.add(id, this)
    service.enter()
    if (isWebSocket) service.sockets++
    if (body !== undefined) service.bytesSent += body.length
    const progress = callbacks?.upload(request, body) ?? null
    if (progress !== null) (this.#upload = new Upload()).watch(progress)
    if (this.#source !== null) {
      if (callbacks?.bodyOnDemand) (this.#upload ??= new Upload()).hasRoom = false
      pump(this.#source, this)
    }
    if (this.#source === null && request instanceof Request && (more || isWebSocket)) {
      this.#writer = new WeakRef(request)
      Request.attach(request, this)
    }
    if (this.#waiting !== null) this.#writeKept()
  }

  #writeKept () {
    const { messages } = this.#waiting
    this.#waiting = null
    if (messages.length === 0) return
    for (const { bytes, text } of messages) this.write(bytes, text).catch(ignore)
    if (this.hasRoom) this.drained()
  }

  /** A call that waited begins. */
  beginLate () {
    try {
      this.#waiting.end(this)
    } catch (error) {
      this.#finish('failed', error)
      this.#fail(error)
    }
  }

  /** The call is a WebSocket's: `socket` gets its events. */
  attachSocket (socket) {
    this.#socket = socket
  }

  // ------------------------------------------------------------- from the environment

  complete (status, headers, body) {
    this.#service.bytesReceived += body.length
    this.#trace?.head(status)
    this.#finish('completed')
    this.#settled = true
    const response = Response.received(status, headers, body, null)
    if (this.#trailers !== null) Response.setTrailers(response, this.#trailers)
    this.#callbacks?.downloaded(body.length)
    this.#resolve(response)
  }

  head (status, headers) {
    const { deadlines, idleDeadlines } = this.#service
    deadlines?.remove(this)
    this.#settled = true
    this.#trace?.head(status)
    if (this.#socket !== null && status === 101) {
      this.#socket.accepted(Headers.fromText(headers))
      return
    }
    if (status !== 101) {
      idleDeadlines?.add(this)
      this.#isStream = true
      this.#service.streams++
    }
    const response = Response.received(status, headers, null, null)
    const progress = this.#callbacks?.download(response.headers) ?? null
    const reader = new BodyReader(this, progress, status === 101 ? MESSAGE_COST : 0, this.#service.highWaterMark)
    this.#open = new OpenResponse(this, response, reader)
    const resolve = this.#resolve
    // They would keep the promise, and the promise the response.
    this.#resolve = this.#reject = null
    resolve(response)
    if (this.#closing !== null) this.close(this.#closing.code, this.#closing.reason)
  }

  chunk (bytes) {
    this.#service.bytesReceived += bytes.length
    this.alive()
    this.#open.reader.push(bytes)
  }

  message (text, bytes) {
    this.#service.bytesReceived += bytes.length
    ;(this.#socket ?? this.#open).message(text, bytes)
  }

  ended () {
    // Files are read on after the application's end: until then the caller may still abort.
    const { reader } = this.#open
    const { hasFiles } = reader
    const wasWatching = hasFiles && this.#isWatching
    if (wasWatching) this.#isWatching = false
    this.#finish('completed')
    if (hasFiles) {
      this.#isReading = true
      this.#isWatching = wasWatching
      this.#service.idleDeadlines?.add(this)
      if (!this.#open.watch()) this.cancel()
    }
    reader.end()
  }

  /** The reader has read the last file, or given it up. */
  read () {
    if (!this.#isReading) return
    this.#isReading = false
    this.#open.unwatch()
    this.#service.idleDeadlines?.remove(this)
    this.#unwatch()
  }

  #unwatch () {
    if (!this.#isWatching) return
    this.#isWatching = false
    unwatch(this.#signal, this)
  }

  closed (code, reason) {
    this.#finish('completed')
    ;(this.#socket ?? this.#open).closed(code, reason)
  }

  failed (error) {
    this.#finish('failed', error)
    this.#fail(error)
  }

  drained () {
    this.alive()
    if (this.#upload !== null) this.#upload.hasRoom = true
    this.#socket?.drained()
    this.#upload?.free()
  }

  notice (kind, text) {
    switch (kind) {
      case notices.TRAILERS:
        this.#trailers = Headers.fromText(text)
        this.#open?.setTrailers(this.#trailers)
        break
      case notices.PATH_SEND:
        this.#open.reader.pushFile({ path: JSON.parse(text) })
        break
      case notices.ZERO_COPY_SEND:
        this.#open.reader.pushFile({ ...JSON.parse(text), closeFile: fd => this.#service.native.closeFile(this.#id, fd) })
        break
      default:
        this.#callbacks.notice(kind, text)
    }
  }

  // ------------------------------------------------------------------ from the caller

  /** The promise or the stream ends with `reason` now; the application is told, then cancelled. */
  abort (reason) {
    if (this.#isReading) {
      this.read()
      this.#open.reader.breakOff(reason)
    }
    if (this.#state === OVER) return
    this.#giveUp('aborted', reason)
    this.#breakOff(reason)
  }

  /** The stream of the body has failed, or what is given is too much. */
  failUpload (error, code = ABNORMAL) {
    if (this.#state === OVER) return
    this.#giveUp('failed', error, false, code)
    this.#breakOff(error)
  }

  /** Nobody reads the response on. */
  cancel () {
    // A response that nobody holds any more has a reader that nobody holds: its files are closed here.
    this.#open?.reader.discard()
    this.read()
    if (this.#state === OVER) return
    this.#giveUp('aborted')
  }

  /** Nobody holds the response any more. Whoever holds the request may be writing still. */
  abandon () {
    const request = this.#state === BEGUN ? this.#writer?.deref() : undefined
    if (request === undefined) this.cancel()
    else this.#open.watchRequest(request)
  }

  /** The time for a response, or for its next part, is over. */
  expire () {
    if (this.#state === OVER && !this.#isReading) return
    const { responseTimeout, idleTimeout } = this.#service
    const error = this.#settled
      ? new PythonHandlerError('ERR_PYTHON_IDLE_TIMEOUT', `nothing sent or taken for ${idleTimeout} ms (option \`idleTimeout\`)`)
      : new PythonHandlerError('ERR_PYTHON_RESPONSE_TIMEOUT', `no response within ${responseTimeout} ms (option \`responseTimeout\`)`)
    if (this.#isReading) return this.abort(error)
    this.#giveUp('timedOut', error, true)
    this.#breakOff(error)
  }

  /** @returns {boolean} whether this is a request to `service` */
  isOf (service) {
    return this.#service === service
  }

  /** The handler closes: sockets are told, responses may finish. */
  goAway () {
    if (this.#socket !== null) this.#socket.goAway()
    else if (this.#isWebSocket) this.close(GOING_AWAY, '')
  }

  consume (bytes) {
    this.alive()
    this.#service.native.consume(this.#id, bytes)
  }

  /** @returns {Promise<void>} when there is room for more */
  write (chunk, text = false) {
    if (this.#state === OVER) return Promise.resolve()
    const { limits } = this.#service
    const upload = this.#upload ??= new Upload()
    if (this.#isWebSocket) {
      if (chunk.length > limits.maxMessageSize) return this.#refuse(limits.messageTooLarge(), TOO_LARGE)
      if (this.#state === WAITING) {
        this.#waiting.keep(chunk, text)
        return upload.wait()
      }
    } else if (upload.length + chunk.length > limits.maxBodySize) {
      return this.#refuse(limits.bodyTooLarge())
    }
    this.#given()
    this.#service.bytesSent += chunk.length
    upload.add(chunk.length)
    if (!this.#service.native.write(this.#id, chunk, text)) upload.hasRoom = false
    return upload.hasRoom ? Promise.resolve() : upload.wait()
  }

  /** What is above a limit ends the call. */
  #refuse (error, code) {
    this.failUpload(error, code)
    return Promise.reject(error)
  }

  /** Whether the application's side has room. */
  get hasRoom () {
    return this.#state !== WAITING && (this.#upload === null || this.#upload.hasRoom)
  }

  /** @returns {Promise<void>} when the application's side has room again, or wants nothing more */
  room () {
    return this.#upload.wait()
  }

  get isOver () {
    return this.#state === OVER
  }

  /** The body is complete, or the WebSocket's client closes. */
  end (code, reason) {
    if (this.#state === OVER) return
    if (this.#isWebSocket) this.close(code ?? NO_STATUS, reason ?? '')
    else {
      this.#given()
      // Nobody writes any more: whoever holds the request keeps no response by it.
      this.#writer = null
      this.#service.native.end(this.#id)
    }
  }

  /** The client of a WebSocket has closed it. */
  close (code, reason) {
    if (this.#state === OVER) return
    if (!this.#settled && this.#socket === null) {
      // Neither accepted nor refused yet: the promise tells that first.
      this.#closing = { code, reason }
      return
    }
    this.#giveUp('completed', undefined, false, code, reason)
    this.#open?.closed(code, reason)
  }

  /** The body of the response goes on, or that of the request beside it. */
  alive () {
    const { idleDeadlines } = this.#service
    if (idleDeadlines === undefined) return
    if (this.#isReading || (this.#settled && this.#isStream && this.#state === BEGUN)) idleDeadlines.renew(this)
  }

  /** The request's body goes on, or has ended: an application that answers after it is not late yet. */
  #given () {
    if (this.#settled) this.alive()
    else if (!this.#isWebSocket) this.#service.deadlines?.renew(this)
  }

  /** No event is wanted any more. `now`: the application's task has had its time. */
  #giveUp (outcome, error, now = false, code = ABNORMAL, reason = '') {
    if (this.#state === BEGUN) {
      this.#service.environment.remove(this.#id)
      this.#service.native.disconnect(this.#id, now, code, reason)
    }
    this.#finish(outcome, error)
  }

  #finish (outcome, error) {
    const service = this.#service
    const hadBegun = this.#state === BEGUN
    this.#state = OVER
    service.deadlines?.remove(this)
    service.idleDeadlines?.remove(this)
    this.#unwatch()
    this.#open?.unwatch()
    // What was still to be written is wanted by nobody: whoever writes may go on.
    this.#upload?.free()
    this.#source?.release(error)
    this.#request = this.#waiting = null
    this.#trace?.end(error)
    if (hadBegun) {
      if (this.#isWebSocket) service.sockets--
      if (this.#isStream) service.streams--
      service.leave(outcome)
    } else {
      service.forget(this, outcome)
    }
  }

  /** The application has failed: what it gave before is still read. */
  #fail (error) {
    if (!this.#rejects(error)) this.#open?.reader.fail(error)
  }

  /** Ended from this side: nothing more is read. */
  #breakOff (error) {
    if (!this.#rejects(error)) this.#open?.reader.breakOff(error)
  }

  /** Tells whoever waits for the head, or a WebSocket. */
  #rejects (error) {
    if (!this.#settled) {
      this.#settled = true
      this.#reject(error)
      return true
    }
    if (this.#socket === null || this.#open !== null) return false
    this.#socket.failed(error)
    return true
  }
}

/** The call ends by it, and tells. */
function ignore () {}

module.exports = { Call, MESSAGE_COST }

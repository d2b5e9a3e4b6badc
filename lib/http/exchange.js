'use strict'

/**
 * One request and its response, from the server's 'request' event to the end of both. Runs on the JS thread;
 * nothing it does may throw into the server. It is over when the response is sent or its connection is lost;
 * in the second case the application is told through the signal.
 */

const { EventEmitter } = require('node:events')
const { Http2ServerRequest, Http2ServerResponse } = require('node:http2')
const { discard } = require('../discard.js')
const { PythonHandlerError } = require('../errors.js')
const { Headers } = require('../headers.js')
const { Response } = require('../response.js')
const { ClientSignal, clientDisconnected } = require('../client-signal.js')
const { Connection } = require('./connection.js')
const { Failure, mismatch, tell } = require('./failure.js')
const { continueSent, isHttp2 } = require('./protocol.js')
const { RequestBody } = require('./request-body.js')
const { RequestHead } = require('./request-head.js')
const { ResponseBody, cutOff } = require('./response-body.js')
const { ResponseHead } = require('./response-head.js')
const { nextTick, setImmediate } = require('../timers.js')

/** Also says that nothing follows: a `Request` without a body waits for what is written to it. */
const NO_BODY = Buffer.alloc(0)

const { on } = EventEmitter.prototype

class Exchange {
  #service
  #req
  #res
  #next
  #connection = null
  #signal = new ClientSignal()
  #requestBody = null
  #responseBody
  /** The application has not answered yet: what is wrong with a header is wrong with the client's. */
  #building = true
  #takesTrailers = false
  #expectsContinue = false
  /** The application still sends what may not be sent on. */
  #discarding = false
  /** The response can take nothing more. */
  #closed = false

  constructor (service, req, res, next) {
    this.#service = service
    this.#req = req
    this.#res = res
    this.#next = next
    this.#responseBody = new ResponseBody(req, res, this)
  }

  /** Never rejects. */
  async run () {
    const res = this.#res
    try {
      const connection = this.#connection = Connection.of(this.#req)
      // A middleware before this one may have taken longer than the client waited.
      if (connection === null || res.writableEnded || res.destroyed) return
      const head = new RequestHead(this.#req)
      this.#takesTrailers = head.takesTrailers
      this.#expectsContinue = head.expectsContinue
      // Node's HTTP/2 response has no 'close' for a HEAD whose client leaves before the head.
      const carrier = isHttp2(this.#req) ? res.stream : res
      // Of the response itself: middleware replaces its `on` (compression). One for each exchange: a listener may hand on.
      on.call(carrier, 'close', () => this.responseClosed())
      if (carrier !== res) carrier.on('aborted', () => this.#streamAborted())
      this.#service.inFlight.enter()
      // A response that waits behind a pipelined one has no socket and, before Node 26, no 'close'.
      if (res.socket === null) connection.watch(this)
      this.#checkLength(head)
      const body = head.hasBody ? await this.#takeBody(head) : NO_BODY
      if (this.#closed) return
      const response = await this.#service.handler.handleStream(this.#describe(head, body), this.#options(head))
      this.#building = false
      if (this.#closed || res.writableEnded) return
      await this.#deliver(response)
    } catch (error) {
      this.failed(error)
    }
  }

  /** The connection was closed before the response could report it. */
  connectionLost () {
    this.#close()
    const reason = clientDisconnected()
    this.#signal.abort(reason)
    this.#requestBody?.release(reason)
  }

  /** After the response's last byte, or because the client has left. */
  responseClosed () {
    if (!this.#responseBody.isSent) return this.connectionLost()
    this.#close()
    this.#requestBody?.release()
    if (!this.#discarding) this.#connection.unwatch(this)
  }

  /** All that Node 20 to 24 say of a stream reset with NO_ERROR whose client takes nothing. They keep it, and what it held. */
  #streamAborted () {
    this.responseClosed()
    nextTick(destroy, this.#res.stream)
  }

  #close () {
    if (this.#closed) return
    this.#closed = true
    this.#responseBody.close()
    this.#service.inFlight.leave()
  }

  /** Before the application is called, and before anything of the body is read. */
  #checkLength ({ contentLength }) {
    const { calls } = this.#service
    if (calls === null || contentLength <= calls.limits.maxBodySize) return
    const error = calls.limits.bodyTooLarge()
    calls.refuse(error)
    throw error
  }

  /** What besides a response this client can be given. */
  #options (head) {
    const req = this.#req
    const res = this.#res
    const options = {
      signal: this.#signal,
      trailers: head.takesTrailers,
      pathSend: this.#service.pathSend,
      // The client sends it when it is told to, and it is told when the application asks.
      bodyOnDemand: head.expectsContinue,
      onEarlyHints: undefined,
      onPush: undefined
    }
    if (isHttp2(req) || req.httpVersionMinor > 0) {
      options.onEarlyHints = hints => this.#hint(hints)
    }
    if (isHttp2(req) && takesPushes(res.stream)) options.onPush = push => this.#push(push)
    return options
  }

  #hint (hints) {
    if (this.#closed || this.#res.headersSent) return
    try {
      this.#res.writeEarlyHints(hints)
    } catch {
      // Node takes fewer forms of a link than RFC 8288 has; hints may be left out (docs/extensions.rst).
    }
  }

  /** A pushed resource is a request of its own, as if the client had made it (docs/extensions.rst). */
  #push ({ path, headers }) {
    const { stream } = this.#res
    if (this.#closed || !takesPushes(stream)) return
    const fields = {
      ':path': encodeURI(path.toWellFormed?.() ?? path).replaceAll('#', '%23'),
      ':authority': this.#req.headers[':authority'] ?? this.#req.headers.host,
      ':scheme': this.#connection.encrypted ? 'https' : 'http',
      ...headers.toJSON()
    }
    try {
      stream.pushStream(fields, (error, pushed, sent) => {
        if (!error) this.#servePush(pushed, sent)
      })
    } catch {
      // Header fields that HTTP/2 does not have, or a client that takes no more: a push is an attempt.
    }
  }

  #servePush (pushed, headers) {
    const lines = []
    for (const name of Object.keys(headers)) {
      for (const value of [].concat(headers[name])) lines.push(name, value)
    }
    const req = new Http2ServerRequest(pushed, headers, {}, lines)
    req.push(null)
    new Exchange(this.#service, req, new Http2ServerResponse(pushed), undefined).run()
  }

  #describe (head, body) {
    const req = this.#req
    const { facts, encrypted } = this.#connection
    // Express answers both from the forwarding headers if its `trust proxy` setting says so.
    const { protocol, ip } = req
    const request = {
      method: req.method,
      url: head.url,
      headers: Headers.fromRaw(head.headers),
      body,
      socket: typeof ip === 'string' && ip !== facts.remoteAddress
        ? { ...facts, remoteAddress: ip, remotePort: 0, remoteFamily: ip.includes(':') ? 'IPv6' : 'IPv4' }
        : facts,
      httpVersion: isHttp2(req) ? '2' : req.httpVersion,
      scheme: protocol === 'https' || (protocol === undefined && encrypted) ? 'https' : 'http'
    }
    if (head.rootPath !== '') request.rootPath = head.rootPath
    if (this.#connection.extensions !== undefined) request.extensions = this.#connection.extensions
    return request
  }

  /** A body that came in one packet with the head goes over whole, any other as a stream. */
  async #takeBody (head) {
    const req = this.#req
    if (wasRead(req)) {
      const body = consumedBody(req)
      head.bodyWasRead(body)
      return body
    }
    // Somebody before this one has listened, or paused it: both get everything if both begin in this turn.
    const isShared = req.readableFlowing !== null
    if (!isShared && !head.expectsContinue && head.contentLength !== -1 && !isHttp2(req)) {
      // Node parses the rest of the packet before the next microtask.
      await null
      if (req.readableLength === head.contentLength) return req.read()
    }
    const awaitsContinue = head.expectsContinue && !continueSent(req, this.#res)
    const body = this.#requestBody = new RequestBody(req, this.#res, awaitsContinue)
    if (isShared) body.hold()
    return body
  }

  async #deliver (response) {
    const req = this.#req
    const res = this.#res
    this.#closeAfterwards()
    const head = new ResponseHead(req, response)
    const { contentLength, bodiless } = head
    const first = response.complete || bodiless ? null : await this.#begin(response)
    if (this.#closed || res.writableEnded) return
    if (bodiless) {
      head.write(req, res, -1)
      this.#responseBody.end()
      if (!response.complete) await this.#discard(response)
    } else if (response.complete && response.trailers === null) {
      const body = response.body ?? NO_BODY
      if (contentLength !== -1 && contentLength !== body.length) throw mismatch(contentLength, body.length)
      head.write(req, res, body.length)
      this.#responseBody.end(body)
    } else {
      head.write(req, res, -1, this.#takesTrailers)
      await this.#responseBody.write(response, first?.chunk, contentLength)
    }
  }

  /**
   * What the application sends along with its head is taken before that: a file that cannot be read is a 500.
   *
   * @returns {Promise<{ chunk: Promise<Buffer | null> }>} the first, which may be still to come
   */
  async #begin (response) {
    const chunk = response.next()
    chunk.catch(() => {})
    await Promise.race([chunk, new Promise(setImmediate)])
    if (Response.hasFiles(response)) await chunk
    return { chunk }
  }

  /** Takes a body that may not be sent, so that the application ends as it would elsewhere. */
  async #discard (response) {
    this.#discarding = true
    this.#connection.watch(this)
    try {
      await discard(response)
    } finally {
      this.#connection.unwatch(this)
    }
  }

  /**
   * In a stop, the connection takes no more requests; those that were pipelined are answered yet. A client that was not asked
   * for its body may send it or not: what comes next cannot be told from it.
   */
  #closeAfterwards () {
    const req = this.#req
    const res = this.#res
    if (isHttp2(req)) return
    const isLast = this.#service.inFlight.isStopping && this.#connection?.isLast(this)
    if (isLast || (this.#expectsContinue && !continueSent(req, res))) res.shouldKeepAlive = false
  }

  /** Answers for what went wrong, or breaks the answer off. */
  failed (error) {
    if (this.#signal.aborted || (this.#closed && !this.#discarding)) return
    const req = this.#req
    const res = this.#res
    // The request notices a lost connection a little before the response does.
    if (req.aborted) return this.connectionLost()
    this.#signal.abort(error)
    const failure = new Failure(error, this.#building)
    try {
      const taken = tell(this.#service.onError, error, req, res, { status: failure.status, next: this.#next })
      if (this.#responseBody.isSent) return
      if (!res.headersSent) {
        if (taken) return
        this.#responseBody.isSent = true
        this.#closeAfterwards()
        failure.answer(req, res, this.#service.exposeErrors)
      } else if (!res.writableEnded) {
        // What was written in this tick is still corked, and goes out first.
        nextTick(cutOff, req, res)
      }
    } catch (cause) {
      console.error(cause)
      cutOff(req, res)
    }
  }
}

/** Whether the client takes pushes; one that was pushed itself can push no other (RFC 9113, 8.4). */
function takesPushes (stream) {
  return stream.id % 2 === 1 && stream.pushAllowed
}

function destroy (stream) {
  stream.destroy()
}

/** Whether a part of the body has gone by, or goes to another reader: of one that reads by itself, each part has one. */
function wasRead (req) {
  return req.readableEnded || req.readableDidRead || req.listenerCount('readable') > 0
}

/** Express middleware that has read the body may have kept its bytes. */
function consumedBody (req) {
  if (req.readableEnded) for (const body of [req.rawBody, req.body]) {
    if (Buffer.isBuffer(body)) return body
  }
  throw new PythonHandlerError(
    'ERR_PYTHON_BODY_CONSUMED',
    'the request body was read by another middleware; mount the listener before it'
  )
}

module.exports = { Exchange }

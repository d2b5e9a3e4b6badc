'use strict'

/**
 * The body of a response on its way to the client: written as fast as that takes it, and ended, or broken off, so that
 * the client can tell the one from the other. Made by the exchange, which it tells of what goes wrong. Runs on the JS thread.
 */

const { ServerResponse } = require('node:http')
const { constants: { NGHTTP2_INTERNAL_ERROR } } = require('node:http2')
const { Response } = require('../response.js')
const { mismatch } = require('./failure.js')
const { HEAD_FIELDS, isHttp2 } = require('./protocol.js')
const { nextTick, setImmediate } = require('../timers.js')

const NOTHING = Buffer.alloc(0)

class ResponseBody {
  #req
  #res
  #exchange
  #closed = false
  #wakeWriter = null
  #flushing = false
  /** The last byte was handed to Node. */
  isSent = false

  /** @param {{ failed(error: unknown): void }} exchange */
  constructor (req, res, exchange) {
    this.#req = req
    this.#res = res
    this.#exchange = exchange
  }

  /** The response can take nothing more: whoever writes stops. */
  close () {
    this.#closed = true
    this.#goOn()
  }

  /**
   * Writes a body that comes in parts, behind its head.
   *
   * @param {Promise<Buffer | null>} first its first part, which was asked for already
   * @param {number} contentLength as the application announced it, or -1
   */
  async write (response, first, contentLength) {
    const res = this.#res
    const holds = typeof res.flush === 'function' && res.flush !== ServerResponse.prototype.flush
    // Head and first chunk share a packet if the chunk is there already. Not `res.cork`: under Node 22, what is written
    // within it may never tell of a drain.
    const socket = isHttp2(this.#req) ? undefined : res.socket
    if (socket) {
      socket.cork()
      nextTick(uncork, socket)
    }
    res.flushHeaders()
    res.on('error', ignore)
    // Bound: middleware gives it to a stream of its own (compression).
    res.on('drain', () => this.#goOn())
    // Also while the client takes nothing.
    Response.onBroken(response, error => this.#exchange.failed(error))
    let length = 0
    for (let next = first ?? response.next(); ; next = response.next()) {
      const chunk = await next
      if (this.#closed) return
      if (chunk === null) break
      length += chunk.length
      if (contentLength !== -1 && length > contentLength) throw mismatch(contentLength, length)
      if (!res.write(chunk)) {
        await new Promise(resolve => { this.#wakeWriter = resolve })
        if (this.#closed) return
      }
      if (holds) this.#flushSoon()
    }
    if (contentLength !== -1 && length < contentLength) throw mismatch(contentLength, length)
    if (response.trailers !== null) this.#addTrailers(response.trailers)
    this.end()
  }

  /** Ends it, with its only part if there is one. */
  end (body) {
    if (isHttp2(this.#req)) return this.#endStream(body)
    this.isSent = true
    this.#res.end(body)
  }

  /** When the client has taken the rest: of a stream that is reset with NO_ERROR while it ends, Node 20 to 24 say nothing. */
  #endStream (body = NOTHING) {
    const res = this.#res
    if (body.length > 0) res.write(body)
    const end = () => {
      this.isSent = true
      res.end()
    }
    if (res.stream.writableLength === 0) end()
    else res.stream.write(NOTHING, end)
  }

  #goOn () {
    this.#wakeWriter?.()
    this.#wakeWriter = null
  }

  /** Middleware that compresses holds back what it is not told to send. Once for all chunks of a turn: no further one is ready. */
  #flushSoon () {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => {
      this.#flushing = false
      if (!this.isSent && !this.#closed) this.#res.flush()
    })
  }

  /** Chunked bodies and HTTP/2 streams can be followed by header fields. */
  #addTrailers (trailers) {
    const req = this.#req
    const res = this.#res
    for (const name of trailers.keys()) if (HEAD_FIELDS.has(name)) trailers.delete(name)
    if (!isHttp2(req)) {
      if (res.chunkedEncoding) res.addTrailers(trailers.entries())
      return
    }
    // Node's own listener throws into the process what it does not take: a repeated `etag`.
    res.stream.removeAllListeners('wantTrailers')
    res.stream.on('wantTrailers', () => {
      try {
        res.stream.sendTrailers(trailers.toJSON())
      } catch (error) {
        this.#exchange.failed(error)
        cutOff(req, res)
      }
    })
  }
}

/** Ends a response that has begun so that the client cannot take it for whole. Never throws. */
function cutOff (req, res) {
  if (isHttp2(req)) res.stream.close(NGHTTP2_INTERNAL_ERROR)
  // To HTTP/1.0 the end of the connection is the end of the body: only a reset says otherwise.
  else if (req.httpVersionMinor === 0) reset(req.socket)
  else res.destroy()
}

/** Only TCP has a reset, also under TLS: Node throws for everything else. */
function reset (socket) {
  try {
    (socket._parent ?? socket).resetAndDestroy()
  } catch {
    socket.destroy()
  }
}

function uncork (socket) {
  socket.uncork()
}

/** A write that the client no longer takes; 'close' follows. */
function ignore () {}

module.exports = { ResponseBody, cutOff }

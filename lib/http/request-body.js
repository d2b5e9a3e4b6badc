'use strict'

const { clientDisconnected } = require('../client-signal.js')
const { setImmediate } = require('../timers.js')

/**
 * The body of a Node request as an async iterable, read when the handler asks for more, so that TCP holds a
 * client back that sends faster than the application reads.
 *
 * Unlike the request's own iterator it may be left early: that discards the rest and keeps the socket, on which
 * the response still has to go out.
 */
class RequestBody {
  #req
  #res
  #expectsContinue
  #waiting = null
  #reason = null
  #released = false
  #listening = false

  constructor (req, res, expectsContinue) {
    this.#req = req
    this.#res = res
    this.#expectsContinue = expectsContinue
  }

  [Symbol.asyncIterator] () {
    return this
  }

  next () {
    return new Promise((resolve, reject) => {
      if (this.#expectsContinue) {
        this.#expectsContinue = false
        // Behind the response's head, it would be a part of its body.
        if (!this.#res.headersSent) this.#res.writeContinue()
      }
      if (!this.#listening) this.#listen()
      this.#waiting = { resolve, reject }
      this.#settle()
    })
  }

  async return () {
    this.release()
    return { value: undefined, done: true }
  }

  /** Ends the reading, with an error if there is a `reason`; what still comes is discarded. */
  release (reason = null) {
    if (this.#released) return
    this.#released = true
    this.#reason = reason
    const req = this.#req
    req.off('readable', this.#settle).off('end', this.#settle).off('error', this.#settle).off('close', this.#settle)
    // A client that was not asked for it sends none; read, Node would keep a stream of HTTP/2 open for it. And another listener
    // may begin in this turn, to which this one handed on: nothing may flow by it.
    if (!this.#expectsContinue) setImmediate(discard, req)
    this.#settle()
  }

  /** Nothing flows by from now on. */
  hold () {
    if (!this.#listening) this.#listen()
  }

  #listen () {
    this.#listening = true
    if (this.#released) return
    this.#req.on('readable', this.#settle).on('end', this.#settle).on('error', this.#settle).on('close', this.#settle)
  }

  /** Answers the one `next()` that waits, if it can be answered now. */
  #settle = () => {
    if (this.#waiting === null) return
    const { resolve, reject } = this.#waiting
    const req = this.#req
    // Under HTTP/2 an aborted request ends like a whole one: `aborted` comes first.
    if (!this.#released && (req.aborted || (req.destroyed && !req.readableEnded))) this.#reason = clientDisconnected()
    const chunk = this.#released || this.#reason !== null ? null : req.read()
    if (chunk !== null) {
      this.#waiting = null
      resolve({ value: chunk, done: false })
    } else if (this.#reason !== null) {
      this.#waiting = null
      reject(this.#reason)
    } else if (this.#released || req.readableEnded) {
      this.#waiting = null
      resolve({ value: undefined, done: true })
    }
  }
}

/** What nobody reads is read into nothing: the response has to go out on the connection. */
function discard (req) {
  if (req.listenerCount('readable') === 0) req.resume()
}

module.exports = { RequestBody }

'use strict'

// A stream that a caller gave as the body of a request: read part by part, and given back as soon as nobody wants the rest.

const { Readable } = require('node:stream')
const { PythonHandlerError } = require('./errors.js')

/** Streams that can be read once, and are the body of a request already. */
const taken = new WeakSet()

class BodySource {
  #source
  /** Of a web stream. */
  #reader = null
  /** Of everything else. */
  #iterator = null

  /** @param {object} source a Node or web stream, or an async iterable */
  constructor (source) {
    this.#source = source
    // Whoever reads is told of a failure. Where nobody reads yet, or any more, it must not be the process's.
    if (typeof source.on === 'function') source.on('error', ignore)
  }

  /** @throws {PythonHandlerError} ERR_PYTHON_BODY: another request reads it, or somebody has read it */
  take () {
    const source = this.#source
    if (!(source instanceof Readable) && typeof source.getReader !== 'function') return
    if (taken.has(source)) throw new PythonHandlerError('ERR_PYTHON_BODY', 'the stream is the body of another request')
    // One that has ended empty is an empty body.
    if (source.readableEnded && source.readableDidRead) throw new PythonHandlerError('ERR_PYTHON_BODY', 'the stream has been read')
    taken.add(source)
  }

  /** @returns {Promise<{ value: unknown, done?: boolean }>} the next part */
  async next () {
    if (this.#reader === null && this.#iterator === null) this.#open()
    return this.#reader === null ? this.#iterator.next() : this.#reader.read()
  }

  #open () {
    const source = this.#source
    if (typeof source.getReader === 'function') this.#reader = source.getReader()
    else if (source instanceof Readable) this.#iterator = source.iterator({ destroyOnReturn: false })
    else this.#iterator = source[Symbol.asyncIterator]()
  }

  /** Nobody reads on: what holds a file or a connection lets go of it. Does nothing to one that has ended. */
  release (reason) {
    const source = this.#source
    if (typeof source.getReader === 'function') {
      if (this.#reader === null && source.locked) return
      (this.#reader ?? source).cancel(reason).catch(ignore)
    } else if (isRequest(source) || isServerStream(source)) {
      // The response still has to go out on its connection; Node discards what is left of it.
      source.resume()
    } else if (typeof source.destroy === 'function') {
      // Of one that goes both ways, the other may still be written.
      if (source.readableEnded === true && source.writable === true) return
      source.destroy(reason instanceof Error ? reason : undefined)
    } else {
      this.#return(reason)
    }
  }

  async #return (reason) {
    try {
      await (this.#iterator ?? this.#source[Symbol.asyncIterator]()).return?.(reason)
    } catch {
      // What it throws at its end is nobody's.
    }
  }
}

/** Whether a stream is the request of a server of Node's. */
function isRequest (source) {
  return Array.isArray(source.rawHeaders) && (source.statusCode === undefined || source.statusCode === null)
}

/** Whether it is that of a request in an HTTP/2 server's 'stream' event: the response goes out on it as well. */
function isServerStream (source) {
  return typeof source.respond === 'function' && typeof source.pushStream === 'function'
}

function ignore () {}

module.exports = { BodySource }

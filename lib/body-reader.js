'use strict'

// The body of a streamed response on its way to whoever reads it. Filled by the environment's batches; tells the
// native side what was taken, so that the application may send more.

const { Readable } = require('node:stream')

/** Taken bytes are reported in portions: half of what lets the application go on (32 KiB). */
const REPORT = 16 * 1024

class BodyReader {
  #call
  #chunks = []
  #ended = false
  #waiting = []
  #taken = 0
  #stream = null
  /** Why the body broke off. */
  error = undefined

  /** @param {{ consume(bytes: number): void, cancel(): void }} call */
  constructor (call) {
    this.#call = call
  }

  // ------------------------------------------------------------ from the environment

  push (chunk) {
    if (this.#waiting.length > 0) {
      this.#report(chunk.length)
      this.#waiting.shift().resolve(chunk)
    } else {
      this.#chunks.push(chunk)
      if (this.#stream !== null) this.#feed()
    }
  }

  end () {
    this.#ended = true
    for (const { resolve } of this.#waiting.splice(0)) resolve(null)
    if (this.#stream !== null) this.#feed()
  }

  fail (error) {
    this.error = error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
    if (this.#stream !== null) this.#feed()
  }

  // --------------------------------------------------------------- from the reader

  next () {
    if (this.#chunks.length > 0) return Promise.resolve(this.#shift())
    if (this.error !== undefined) return Promise.reject(this.error)
    if (this.#ended) return Promise.resolve(null)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Nobody reads on. Does nothing after the end. */
  cancel () {
    if (this.#ended || this.error !== undefined) return
    this.#ended = true
    this.#chunks = []
    this.#call.cancel()
    for (const { resolve } of this.#waiting.splice(0)) resolve(null)
  }

  stream () {
    this.#stream ??= new Readable({
      read: () => this.#feed(),
      destroy: (error, callback) => {
        this.cancel()
        callback(error)
      }
    })
    return this.#stream
  }

  #feed () {
    const stream = this.#stream
    if (stream.destroyed || stream.readableEnded) return
    while (this.#chunks.length > 0) {
      if (!stream.push(this.#shift())) return
    }
    if (this.error !== undefined) stream.destroy(this.error)
    else if (this.#ended) stream.push(null)
  }

  #shift () {
    const chunk = this.#chunks.shift()
    this.#report(chunk.length)
    return chunk
  }

  #report (length) {
    this.#taken += length
    if (this.#taken >= REPORT && !this.#ended) {
      this.#call.consume(this.#taken)
      this.#taken = 0
    }
  }
}

module.exports = { BodyReader }

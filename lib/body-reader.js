'use strict'

// The body of a streamed response on its way to whoever reads it. Filled by the environment's batches; tells the
// native side what was taken, so that the application may send more.

const { AsyncResource } = require('node:async_hooks')
const { Readable } = require('node:stream')
const { FileSource } = require('./file-source.js')

/** Taken bytes are reported in portions: an eighth of the window, by a quarter of which the application goes on; no more than this. */
const REPORT = 16 * 1024

const kResponse = Symbol('python-node response')

class BodyReader {
  #call
  /** Buffers and files, in order. */
  #parts = []
  #ended = false
  #waiting = []
  #taken = 0
  /** Once it is read. Before, whoever asked for it may drop it, and the response with it. */
  #stream = null
  /** Until it is read: `deref()` gives it as long as somebody holds it. */
  #unread = null
  #feed = null
  /** Whether the stream has room: it says so by reading, and takes it back when it is full. */
  #wanted = false
  /** The file that is being read: later readers wait for it. */
  #reading = null
  #progress = null
  #overhead
  #portion
  #whenBroken = null
  #skipsFiles = false
  /** Whether the body broke off, and why: any value. */
  hasFailed = false
  error = undefined

  /**
   * @param {{ consume(bytes: number): void, cancel(): void, read(): void, alive(): void }} call
   * @param {import('./progress.js').Progress | null} progress
   * @param {number} overhead what each part costs besides its bytes
   * @param {number} highWaterMark bytes that may wait to be taken
   */
  constructor (call, progress, overhead, highWaterMark) {
    this.#call = call
    this.#progress = progress
    this.#overhead = overhead
    this.#portion = Math.min(REPORT, highWaterMark / 8)
  }

  // ------------------------------------------------------------ from the environment

  push (chunk) {
    if (this.#waiting.length > 0 && this.#parts.length === 0 && this.#reading === null) {
      this.#report(chunk)
      this.#waiting.shift().resolve(chunk)
    } else {
      this.#parts.push(chunk)
      if (this.#stream !== null) this.#feed()
    }
  }

  pushFile (slice) {
    const file = new FileSource(slice)
    if (this.#skipsFiles) file.close()
    this.#parts.push(file)
    for (const { resolve, response } of this.#waiting.splice(0)) resolve(this.next(response))
    if (this.#stream !== null) this.#feed()
  }

  /** The files, also those to come, are as if they were read. */
  skipFiles () {
    this.#skipsFiles = true
    this.#closeFiles()
  }

  /** Whether parts are left that only files hold: the application has ended, and its body has not. */
  get hasFiles () {
    return this.#parts.some(part => part instanceof FileSource)
  }

  #checkDone () {
    if (this.#ended && this.#parts.length === 0) this.#call.read()
  }

  end () {
    this.#ended = true
    if (this.#parts.length === 0 && this.#reading === null) {
      for (const { resolve } of this.#waiting.splice(0)) resolve(null)
    }
    if (this.#stream !== null) this.#feed()
  }

  /** The application has failed. What had come is still given. */
  fail (error) {
    // But no file is read on: the failure ends the body where it broke off.
    this.#closeFiles()
    const file = this.#parts.findIndex(part => part instanceof FileSource)
    if (file !== -1) this.#parts.length = file
    this.#break(error)
    if (this.#stream !== null) this.#feed()
    else if (this.#parts.length === 0) this.#unread?.deref()?.destroy(toError(error))
  }

  /** The caller, or a time limit, has ended it: nothing more is given, also to a stream that nobody reads now. */
  breakOff (error) {
    this.#closeFiles()
    this.#parts = []
    this.#break(error)
    this.#given()?.destroy(toError(error))
    this.#whenBroken?.(error)
  }

  #break (error) {
    this.hasFailed = true
    this.error = error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  /** Calls `listener` if the body is broken off, also while nobody reads. */
  onBroken (listener) {
    if (this.hasFailed) listener(this.error)
    else this.#whenBroken = listener
  }

  // --------------------------------------------------------------- from the reader

  /** @param {object} response what a caller drops who no longer reads: kept for one who waits */
  next (response) {
    if (this.#reading !== null) return this.#reading.then(() => this.next(response))
    const part = this.#parts[0]
    if (part !== undefined) return part instanceof FileSource ? this.#nextOfFile(part, response) : Promise.resolve(this.#shift())
    if (this.hasFailed) return Promise.reject(this.error)
    if (this.#ended) return Promise.resolve(null)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject, response }))
  }

  /** Nobody reads on. Does nothing after the end. */
  cancel () {
    const isOver = this.#ended && this.#parts.length === 0
    this.#closeFiles()
    if (isOver || this.hasFailed) return
    const wasEnded = this.#ended
    this.#ended = true
    this.#parts = []
    if (!wasEnded) this.#call.cancel()
    this.#call.read()
    for (const { resolve } of this.#waiting.splice(0)) resolve(null)
  }

  /** Nobody holds the response any more. */
  discard () {
    this.#closeFiles()
    this.#parts = []
  }

  /** @param {object} response kept as long as its stream */
  stream (response) {
    const given = this.#given()
    if (given !== undefined) return given
    // Its events run in the async context of whoever made it.
    this.#feed = AsyncResource.bind(() => this.#feedStream())
    const stream = this.#make()
    stream[kResponse] = response
    this.#unread = new WeakRef(stream)
    return stream
  }

  /** By itself: what `#feed` was made in must not hold the stream. */
  #make () {
    const stream = new Readable({
      read: () => {
        this.#stream = stream
        this.#wanted = true
        this.#feed()
      },
      destroy: (error, callback) => {
        this.cancel()
        callback(error)
      }
    })
    return stream
  }

  /** @returns {Readable | undefined} the stream, if there is one and somebody may read it */
  #given () {
    return this.#stream ?? this.#unread?.deref()
  }

  #feedStream () {
    const stream = this.#stream
    if (stream.destroyed || stream.readableEnded || this.#reading !== null) return
    while (this.#wanted && this.#parts.length > 0) {
      const part = this.#parts[0]
      if (part instanceof FileSource) {
        this.#nextOfFile(part).then(chunk => {
          if (stream.destroyed) return
          if (chunk !== null) this.#wanted = stream.push(chunk)
          this.#feed()
        }, error => stream.destroy(error))
        return
      }
      this.#wanted = stream.push(this.#shift())
    }
    if (this.#parts.length > 0) return
    if (this.hasFailed) stream.destroy(toError(this.error))
    else if (this.#ended) stream.push(null)
  }

  /** @returns {Promise<Buffer | null>} */
  #nextOfFile (file, response) {
    const read = file.read()
    const done = () => { if (this.#reading === marker) this.#reading = null }
    const marker = this.#reading = read.then(done, done)
    return read.then(chunk => {
      done()
      if (chunk !== null) {
        this.#progress?.add(chunk.length)
        this.#call.alive()
        const counted = Math.min(chunk.length, file.counted)
        file.counted -= counted
        this.#taken += counted
        this.#reportTaken()
        return chunk
      }
      // What the file did not have is taken as well.
      this.#taken += file.counted
      file.counted = 0
      this.#reportTaken()
      if (this.#parts[0] === file) this.#parts.shift()
      this.#checkDone()
      return this.#stream === null ? this.next(response) : null
    }, error => {
      // The file was closed under the reader by `fail`, which knows why.
      if (this.hasFailed) throw this.error
      this.#closeFiles()
      this.hasFailed = true
      this.error = error
      this.#parts = []
      this.#call.cancel()
      this.#call.read()
      throw error
    })
  }

  #shift () {
    const chunk = this.#parts.shift()
    this.#report(chunk)
    this.#checkDone()
    return chunk
  }

  #report (chunk) {
    this.#progress?.add(chunk.length)
    this.#taken += chunk.length + this.#overhead
    this.#reportTaken()
  }

  #reportTaken () {
    if (this.#taken >= this.#portion && !this.#ended) {
      this.#call.consume(this.#taken)
      this.#taken = 0
    }
  }

  #closeFiles () {
    for (const part of this.#parts) {
      if (part instanceof FileSource) part.close()
    }
  }
}

/** What a Node stream can be destroyed with: `null` would be no failure. */
function toError (reason) {
  if (reason instanceof Error) return reason
  return Object.assign(new Error('The operation was aborted', { cause: reason }), { name: 'AbortError', code: 'ABORT_ERR' })
}

module.exports = { BodyReader }

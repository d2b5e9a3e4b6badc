'use strict'

// One request in flight, from `submit` to its last event: settles its promise, carries its bodies, ends it early.

const { Readable } = require('node:stream')
const { PythonHandlerError } = require('./errors.js')
const { BodyReader } = require('./body-reader.js')
const { Request, crossPlain, takeChunk } = require('./request.js')
const { Response } = require('./response.js')

const BUFFERED = 0
const STREAM = 1

/** A response that nobody holds any more is not read on either. */
const abandoned = new FinalizationRegistry(call => call.cancel())

class Call {
  #environment
  #id = 0
  #resolve
  #reject
  #deadlines
  #timeout
  #signal
  #onAbort = null
  #reader = null
  #writers = null
  #room = true
  #settled = false
  #over = false
  deadline = 0

  constructor (handler, signal, resolve, reject) {
    this.#environment = handler.environment
    this.#deadlines = handler.deadlines
    this.#timeout = handler.responseTimeout
    this.#signal = signal
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Gives the request to the application. */
  submit (native, request, streamed) {
    const signal = this.#signal
    if (signal !== undefined && signal.aborted) {
      this.#over = true
      this.#reject(signal.reason)
      return
    }
    const isRequest = request instanceof Request
    const { head, count, body, source, more, extra } = isRequest ? Request.cross(request, streamed) : crossPlain(request)
    const id = this.#id = this.#environment.nextId()
    const failure = native.submit(id, streamed ? STREAM : BUFFERED, head, count, body, more, extra)
    if (failure) throw PythonHandlerError.fromNative(failure)
    this.#environment.add(id, this)
    this.#deadlines?.add(this)
    if (signal !== undefined) {
      this.#onAbort = () => this.abort(signal.reason)
      signal.addEventListener('abort', this.#onAbort, { once: true })
    }
    if (source !== null) this.#pump(source)
    else if (more) Request.attach(request, this)
  }

  // ------------------------------------------------------------- from the environment

  complete (status, headers, body) {
    this.#finish()
    this.#settled = true
    this.#resolve(Response.received(status, headers, body, null))
  }

  head (status, headers) {
    this.#deadlines?.remove(this)
    this.#settled = true
    const reader = this.#reader = new BodyReader(this)
    const response = Response.received(status, headers, null, reader)
    abandoned.register(response, this, this)
    this.#resolve(response)
  }

  chunk (bytes) {
    this.#reader.push(bytes)
  }

  ended () {
    this.#finish()
    this.#reader.end()
  }

  failed (error) {
    this.#finish()
    this.#fail(error)
  }

  drained () {
    this.#room = true
    this.#freeWriters()
  }

  // ------------------------------------------------------------------ from the caller

  /** The promise or the stream ends with `reason` now; the application is told, then cancelled. */
  abort (reason) {
    if (this.#over) return
    this.#giveUp(false)
    this.#fail(reason)
  }

  /** Nobody reads the response on. */
  cancel () {
    if (this.#over) return
    this.#giveUp(false)
  }

  /** The time for a response is over. */
  expire () {
    if (this.#over || this.#settled) return
    this.#giveUp(true)
    this.#fail(new PythonHandlerError('ERR_PYTHON_RESPONSE_TIMEOUT',
      `no response within ${this.#timeout} ms (option \`responseTimeout\`)`))
  }

  consume (bytes) {
    this.#environment.native.consume(this.#id, bytes)
  }

  /** @returns {Promise<void>} when there is room for more */
  write (chunk, text = false) {
    if (this.#over) return Promise.resolve()
    if (!this.#environment.native.write(this.#id, chunk, text)) this.#room = false
    if (this.#room) return Promise.resolve()
    return new Promise(resolve => { (this.#writers ??= []).push(resolve) })
  }

  end () {
    if (!this.#over) this.#environment.native.end(this.#id)
  }

  /** Reads a stream into the request body. Its failure is the request's. */
  async #pump (source) {
    try {
      for await (const chunk of iterate(source)) {
        if (this.#over) return
        const written = this.write(takeChunk(chunk), false)
        if (!this.#room) await written
        if (this.#over) return
      }
      this.end()
    } catch (error) {
      this.abort(error)
    }
  }

  #giveUp (now) {
    this.#environment.remove(this.#id)
    this.#environment.native.disconnect(this.#id, now)
    this.#finish()
  }

  #finish () {
    this.#over = true
    this.#deadlines?.remove(this)
    if (this.#onAbort !== null) {
      this.#signal.removeEventListener('abort', this.#onAbort)
      this.#onAbort = null
    }
    if (this.#reader !== null) abandoned.unregister(this)
    // What was still to be written is wanted by nobody: whoever writes may go on.
    this.#freeWriters()
  }

  #freeWriters () {
    const writers = this.#writers
    this.#writers = null
    if (writers !== null) for (const resolve of writers) resolve()
  }

  #fail (error) {
    if (this.#settled) {
      this.#reader?.fail(error)
    } else {
      this.#settled = true
      this.#reject(error)
    }
  }
}

/** Any stream as an async iterable that leaves the stream usable when it is left early. */
function iterate (source) {
  if (source instanceof Readable) return source.iterator({ destroyOnReturn: false })
  if (typeof source[Symbol.asyncIterator] === 'function') return source
  return readAll(source)
}

/** A web stream of a realm or a version without async iteration. */
async function * readAll (source) {
  const reader = source.getReader()
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value
  } finally {
    reader.releaseLock()
  }
}

module.exports = { Call }

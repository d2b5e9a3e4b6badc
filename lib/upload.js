'use strict'

// What a caller still gives to a request that is in flight: the rest of its body, or the messages of a WebSocket.

const { Readable } = require('node:stream')
const { takeChunk } = require('./request.js')

class Upload {
  #writers = []
  #progress = null
  /** Whether the application's side takes more. */
  hasRoom = true
  /** Bytes so far. */
  length = 0

  /** @param {import('./progress.js').Progress} progress */
  watch (progress) {
    this.#progress = progress
  }

  add (length) {
    this.length += length
    this.#progress?.add(length)
  }

  /** @returns {Promise<void>} when there is room */
  wait () {
    return new Promise(resolve => this.#writers.push(resolve))
  }

  /** There is room again, or nobody wants the rest: whoever waits goes on. */
  free () {
    this.hasRoom = true
    for (const resolve of this.#writers.splice(0)) resolve()
  }
}

/**
 * Reads a stream into the body of a request. Its failure is the request's.
 *
 * @param {object} source a Node or web stream, or an async iterable
 * @param {import('./call.js').Call} call
 */
async function pump (source, call) {
  try {
    for await (const chunk of iterate(source)) {
      if (call.isOver) return
      const written = call.write(takeChunk(chunk), false)
      if (!call.hasRoom || call.isOver) await written
      if (call.isOver) return
    }
    call.end()
  } catch (error) {
    call.abort(error)
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

module.exports = { Upload, pump }

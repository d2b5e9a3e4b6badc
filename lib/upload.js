'use strict'

// What a caller still gives to a request that is in flight: the rest of its body, or the messages of a WebSocket.

const { takeChunk } = require('./request.js')
const { setImmediate } = require('./timers.js')

class Upload {
  #writers = []
  #progress = null
  /** Whether the application's side takes more. */
  hasRoom
  /** Bytes so far. */
  length = 0

  /** @param {boolean} [hasRoom] whether writing may begin before the application asks */
  constructor (hasRoom = true) {
    this.hasRoom = hasRoom
  }

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

/** Bytes, and parts, that are given in one turn of the event loop: a source that never waits must not hold it. */
const TURN_BYTES = 1024 * 1024
const TURN_PARTS = 256

/**
 * Reads a stream into the body of a request. Its failure is the request's.
 *
 * @param {import('./body-source.js').BodySource} source
 * @param {import('./call.js').Call} call
 */
async function pump (source, call) {
  let bytes = 0
  let parts = 0
  try {
    if (!call.hasRoom) await call.room()
    while (!call.isOver) {
      const { value, done } = await source.next()
      if (call.isOver) return
      if (done) break
      const chunk = takeChunk(value)
      const written = call.write(chunk, false)
      if (!call.hasRoom || call.isOver) await written
      bytes += chunk.length
      if (++parts >= TURN_PARTS || bytes >= TURN_BYTES) {
        bytes = parts = 0
        await new Promise(setImmediate)
      }
    }
    call.end()
  } catch (error) {
    call.failUpload(error)
  }
}

module.exports = { Upload, pump }

'use strict'

// This Node environment (the main thread or a worker) as the addon sees it: hands each event of a batch to the
// call it belongs to. One per environment, made with the first handler.

const fs = require('node:fs')
const { isMainThread, markAsUntransferable } = require('node:worker_threads')
const { PythonHandlerError } = require('./errors.js')
const { ZERO_COPY_SEND } = require('./notice.js')

/** The numbers of src/js/events.rs. */
const COMPLETE = 0
const HEAD = 1
const CHUNK = 2
const END = 3
const DRAIN = 4
const MESSAGE = 5
const CLOSED = 6
const NOTICE = 7
const FAILED = 8
const LOADED = 9
const STACK = 10
const STRIDE = 6

/** One for each environment, whatever number of copies of this module it has loaded. */
const kEnvironment = Symbol.for('@platformatic/python-node environment')

class Environment {
  #calls = new Map()
  #lastId = 0
  /** The watchdog that has warned of a stuck Python, while it is stuck. */
  stuckSince = null

  constructor (native) {
    this.native = native
    native.attach((events, shared) => this.#deliver(events, shared))
    // On the main thread this is the one event of every orderly end; workers end through their clean-up.
    if (isMainThread) process.on('exit', () => native.shutdown())
  }

  /** @returns {Environment} */
  static of (native) {
    globalThis[kEnvironment] ??= new Environment(native)
    return globalThis[kEnvironment]
  }

  /** @returns {number} a name for a call, never used twice */
  nextId () {
    return ++this.#lastId
  }

  add (id, call) {
    this.#calls.set(id, call)
  }

  /** Events for this id find nobody any more. */
  remove (id) {
    return this.#calls.delete(id)
  }

  callsOf (service) {
    return [...this.#calls.values()].filter(call => call.isOf?.(service))
  }

  /**
   * Calls `start(id)` of the native side, and waits for the event that ends it, at most `timeout` milliseconds.
   *
   * @returns {Promise<boolean>} whether it came in time
   */
  settle (start, timeout) {
    return new Promise((resolve, reject) => {
      const id = this.nextId()
      const timer = timeout === undefined
        ? undefined
        : setTimeout(() => {
          this.#calls.delete(id)
          this.native.forget(id)
          resolve(false)
        }, timeout)
      this.#calls.set(id, {
        loaded (failure) {
          clearTimeout(timer)
          if (failure === undefined) resolve(true)
          else reject(PythonHandlerError.fromNative(failure))
        }
      })
      start(id)
    })
  }

  /** @returns {Promise<string | undefined>} what the Python thread is doing; undefined if that cannot be read in time */
  stack (patience) {
    return new Promise(resolve => {
      const id = this.nextId()
      const timer = setTimeout(() => {
        this.remove(id)
        resolve(undefined)
      }, patience)
      timer.unref()
      this.#calls.set(id, {
        stack (text) {
          clearTimeout(timer)
          resolve(text)
        }
      })
      this.native.stack(id)
    })
  }

  #deliver (events, shared) {
    // Slices of one Buffer: transferring one would take the others away.
    if (shared !== undefined && events.length > STRIDE) markAsUntransferable(shared.buffer)
    for (let index = 0; index < events.length; index += STRIDE) {
      try {
        this.#tell(events, index, shared)
      } catch (error) {
        // Thrown by a listener of the caller's: its uncaught exception, and nobody else's lost event.
        process.nextTick(() => { throw error })
      }
    }
  }

  /** Gives one event to its call. */
  #tell (events, index, shared) {
    const id = events[index + 1]
    const call = this.#calls.get(id)
    const a = events[index + 2]
    if (call === undefined) {
      if (events[index] === NOTICE && a === ZERO_COPY_SEND) closeSlice(events[index + 3])
      return
    }
    switch (events[index]) {
      case COMPLETE:
        this.#calls.delete(id)
        call.complete(a, events[index + 3], bytesOf(events, index, shared))
        break
      case HEAD:
        call.head(a, events[index + 3])
        break
      case CHUNK:
        call.chunk(bytesOf(events, index, shared))
        break
      case END:
        this.#calls.delete(id)
        call.ended()
        break
      case DRAIN:
        call.drained()
        break
      case MESSAGE:
        call.message(a === 1, bytesOf(events, index, shared))
        break
      case CLOSED:
        this.#calls.delete(id)
        call.closed(a, events[index + 3])
        break
      case NOTICE:
        call.notice(a, events[index + 3])
        break
      case FAILED:
        this.#calls.delete(id)
        call.failed(PythonHandlerError.fromNative(a))
        break
      case STACK:
        this.#calls.delete(id)
        call.stack(a)
        break
      case LOADED:
        this.#calls.delete(id)
        call.loaded(a)
        break
    }
  }
}

/** A file that was on its way to a call that was given up. */
function closeSlice (text) {
  fs.close(JSON.parse(text).fd, () => {})
}

function bytesOf (events, index, shared) {
  const length = events[index + 5]
  const at = events[index + 4]
  if (length < 0) return at
  return length === 0 ? Buffer.alloc(0) : shared.subarray(at, at + length)
}

/** The one event of a batch that a waiting call got. */
function readOne ({ events, shared }) {
  if (events[0] === FAILED) throw PythonHandlerError.fromNative(events[2])
  return { status: events[2], headers: events[3], body: bytesOf(events, 0, shared) }
}

module.exports = { Environment, readOne }

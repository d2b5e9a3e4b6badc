'use strict'

// This Node environment (the main thread or a worker) as the addon sees it: hands each event of a batch to the
// call it belongs to. One per environment, made with the first handler.

const { isMainThread, markAsUntransferable } = require('node:worker_threads')
const { PythonHandlerError } = require('./errors.js')
const { ZERO_COPY_SEND } = require('./notice.js')
const { clearTimeout, nextTick, setImmediate, setTimeout } = require('./timers.js')

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
/** Fields of an event: kind, id (low, high), a, text (start, end), body (start, length). */
const STRIDE = 8
/** Instead of a count: the loop's other work first. */
const POSTPONED = -1
/** Instead of an end or a length: the start is an index in the array of values. */
const OWN = -1

/** One for each JavaScript context, whatever number of copies of this module it has loaded. */
const kEnvironment = Symbol.for('@platformatic/python-node environment')

class Environment {
  #calls = new Map()
  #callback
  #firstId
  /** The numbers of the batch that is delivered: shared with the native side, and with nobody else. */
  #fields
  #lastId
  /** The watchdog that has warned of a stuck Python, while it is stuck. */
  stuckSince = null

  constructor (native) {
    this.native = native
    // The native side holds it only while something is in flight: a context that nobody uses is collected.
    this.#callback = (count, text, shared, values) => this.#deliver(count, text, shared, values)
    const { fields, firstId } = native.attach(this.#callback)
    this.#fields = fields
    this.#firstId = this.#lastId = firstId
    // On the main thread this is the one event of every orderly end; workers end through their clean-up.
    // All contexts have the same function, which holds none of them.
    if (isMainThread && !process.listeners('exit').includes(native.shutdown)) process.on('exit', native.shutdown)
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

  #deliver (count, text, shared, values) {
    if (count === POSTPONED) {
      setImmediate(() => this.native.resume(this.#firstId))
      return
    }
    // Slices of one Buffer: transferring one would take the others away.
    if (shared !== undefined && count > 1) markAsUntransferable(shared.buffer)
    for (let at = 0; at < count * STRIDE; at += STRIDE) {
      try {
        this.#tell(at, text, shared, values)
      } catch (error) {
        // Thrown by a listener of the caller's: its uncaught exception, and nobody else's lost event.
        nextTick(() => { throw error })
      }
    }
  }

  /** Gives one event to its call. */
  #tell (at, text, shared, values) {
    const fields = this.#fields
    const id = (fields[at + 1] >>> 0) + fields[at + 2] * 2 ** 32
    const call = this.#calls.get(id)
    const kind = fields[at]
    const a = fields[at + 3]
    if (call === undefined) {
      // A file that was on its way to a call that was given up.
      if (kind === NOTICE && a === ZERO_COPY_SEND) this.native.closeFile(id, JSON.parse(textOf(fields, at, text, values)).fd)
      return
    }
    switch (kind) {
      case COMPLETE:
        this.#calls.delete(id)
        call.complete(a, textOf(fields, at, text, values), bodyOf(fields, at, shared, values))
        break
      case HEAD:
        call.head(a, textOf(fields, at, text, values))
        break
      case CHUNK:
        call.chunk(bodyOf(fields, at, shared, values))
        break
      case END:
        this.#calls.delete(id)
        call.ended()
        break
      case DRAIN:
        call.drained()
        break
      case MESSAGE:
        call.message(a === 1, bodyOf(fields, at, shared, values))
        break
      case CLOSED:
        this.#calls.delete(id)
        call.closed(a, textOf(fields, at, text, values))
        break
      case NOTICE:
        call.notice(a, textOf(fields, at, text, values))
        break
      case FAILED:
        this.#calls.delete(id)
        call.failed(PythonHandlerError.fromNative(values[a]))
        break
      case STACK:
        this.#calls.delete(id)
        call.stack(values[a])
        break
      case LOADED:
        this.#calls.delete(id)
        call.loaded(a === OWN ? undefined : values[a])
        break
    }
  }
}

function textOf (fields, at, text, values) {
  const start = fields[at + 4]
  const end = fields[at + 5]
  if (end === OWN) return values[start]
  return start === end ? '' : text.slice(start, end)
}

function bodyOf (fields, at, shared, values) {
  const start = fields[at + 6]
  const length = fields[at + 7]
  if (length === OWN) return values[start]
  return length === 0 ? Buffer.alloc(0) : shared.subarray(start, start + length)
}

module.exports = { Environment }

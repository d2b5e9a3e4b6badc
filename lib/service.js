'use strict'

// What the calls of one handler share: its application, its limits, what is in flight and what waits.

const { deadlinesOf } = require('./deadlines.js')
const { Environment } = require('./environment.js')
const { PythonHandlerError } = require('./errors.js')
const { Limits } = require('./limits.js')
const { Watchdog } = require('./watchdog.js')

class Service {
  #inFlight = 0
  #maxInFlight
  #maxQueued
  #queue = new Set()
  #whenIdle = null
  #watchdog
  #rejected = 0
  /** How calls ended: names in `stats()`. */
  #outcomes = { completed: 0, failed: 0, aborted: 0, timedOut: 0 }
  /** Open response streams and WebSockets. */
  streams = 0
  sockets = 0
  /** Whether the handler takes no more calls. */
  isClosing = false
  bytesSent = 0
  bytesReceived = 0

  constructor ({ options, native, handle }) {
    this.native = native
    this.handle = handle
    /** What the native side calls the application, and the bytes that may wait on either side of a body. */
    this.key = handle.key
    this.highWaterMark = options.highWaterMark
    this.environment = Environment.of(native)
    this.limits = new Limits(options)
    this.responseTimeout = options.responseTimeout
    this.idleTimeout = options.idleTimeout
    this.deadlines = options.responseTimeout === 0 ? undefined : deadlinesOf(options.responseTimeout)
    this.idleDeadlines = options.idleTimeout === 0 ? undefined : deadlinesOf(options.idleTimeout)
    this.#maxInFlight = options.maxInFlight
    this.#maxQueued = options.maxQueued
    this.#watchdog = new Watchdog(this.environment, options.stuckThreshold)
  }

  get inFlight () {
    return this.#inFlight
  }

  /** Lets a call begin now, or when another ends. */
  admit (call, crossing) {
    if (this.isClosing) throw new PythonHandlerError('ERR_PYTHON_CLOSED', 'the handler is closed')
    if (this.#inFlight < this.#maxInFlight) {
      call.begin(crossing)
    } else if (this.#queue.size < this.#maxQueued) {
      call.wait(crossing)
      this.#queue.add(call)
    } else {
      throw new PythonHandlerError('ERR_PYTHON_OVERLOADED',
        `${this.#maxInFlight} requests are in flight and ${this.#maxQueued} wait (options \`maxInFlight\`, \`maxQueued\`)`)
    }
  }

  /** A call has ended before it was admitted. */
  refuse (error) {
    if (error?.code === 'ERR_PYTHON_OVERLOADED') this.#rejected++
    else this.#outcomes.failed++
  }

  enter () {
    this.#inFlight++
    this.#watchdog.watch(this)
  }

  /** A call that had begun has ended. */
  leave (outcome) {
    this.#inFlight--
    this.#outcomes[outcome]++
    this.#beginNext()
    if (this.#inFlight === 0) this.#whenIdle?.()
  }

  #beginNext () {
    // One that the native side refuses takes no place: the next one's turn comes at once.
    while (this.#queue.size > 0 && this.#inFlight < this.#maxInFlight) {
      const [next] = this.#queue
      this.#queue.delete(next)
      next.beginLate()
    }
  }

  /** A call that had not begun has ended. */
  forget (call, outcome) {
    this.#queue.delete(call)
    this.#outcomes[outcome]++
  }

  /** @returns {Promise<void>} when nothing is in flight */
  idle () {
    if (this.#inFlight === 0 && this.#queue.size === 0) return Promise.resolve()
    return new Promise(resolve => { this.#whenIdle = resolve })
  }

  /** @returns {import('./call.js').Call[]} what is in flight or waits */
  calls () {
    return [...this.environment.callsOf(this), ...this.#queue]
  }

  /**
   * What `stats()` gives. Requests of `handleRequestSync` are not counted.
   *
   * @typedef HandlerStats
   * @property inFlight Requests that the application works on.
   * @property queued Requests that wait for `maxInFlight`.
   * @property openStreams Responses whose bodies are not read to their end.
   * @property openSockets WebSockets that are not closed.
   * @property completed Requests that ended well.
   * @property failed Requests that ended with an error.
   * @property aborted Requests that the caller gave up.
   * @property timedOut Requests that ended by `responseTimeout` or `idleTimeout`.
   * @property rejected Requests refused by `maxQueued`.
   * @property bytesSent Bytes of request bodies and WebSocket messages given to the application.
   * @property bytesReceived Bytes of response bodies and WebSocket messages taken from it.
   * @property loopLag Milliseconds that the Python thread has let its queue wait now; of the process, not of the handler.
   * @property waitingForPython Milliseconds that all requests together have waited for the Python thread; of the process.
   */
  stats () {
    const [loopLag, waitingForPython] = this.native.lag()
    return {
      inFlight: this.#inFlight,
      queued: this.#queue.size,
      openStreams: this.streams,
      openSockets: this.sockets,
      ...this.#outcomes,
      rejected: this.#rejected,
      bytesSent: this.bytesSent,
      bytesReceived: this.bytesReceived,
      loopLag,
      waitingForPython
    }
  }
}

module.exports = { Service }

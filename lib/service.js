'use strict'

// What the calls of one handler share: its application, its limits, how many are in flight.

const { deadlinesOf } = require('./deadlines.js')
const { Environment } = require('./environment.js')

class Service {
  #inFlight = 0
  #whenIdle = null

  constructor ({ options, native, handle }) {
    this.native = native
    this.handle = handle
    this.environment = Environment.of(native)
    this.responseTimeout = options.responseTimeout
    this.idleTimeout = options.idleTimeout
    this.deadlines = options.responseTimeout === 0 ? undefined : deadlinesOf(options.responseTimeout)
    this.idleDeadlines = options.idleTimeout === 0 ? undefined : deadlinesOf(options.idleTimeout)
  }

  get inFlight () {
    return this.#inFlight
  }

  enter () {
    this.#inFlight++
  }

  leave () {
    if (--this.#inFlight === 0) this.#whenIdle?.()
  }

  /** @returns {Promise<void>} when nothing is in flight */
  idle () {
    if (this.#inFlight === 0) return Promise.resolve()
    return new Promise(resolve => { this.#whenIdle = resolve })
  }

  /** @returns {import('./call.js').Call[]} what is in flight */
  calls () {
    return this.environment.callsOf(this)
  }
}

module.exports = { Service }

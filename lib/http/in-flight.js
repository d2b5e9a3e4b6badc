'use strict'

/**
 * The responses of a handler that are not yet with their clients: what a stop waits for beyond the handler's own calls,
 * which end when the last byte was handed to Node.
 */

const ofHandler = new WeakMap()

class InFlight {
  #count = 0
  #whenNone = []
  /** Each is the last of its connection. */
  isStopping = false

  /** @returns {InFlight} the one of all listeners of this handler */
  static of (handler) {
    if (!ofHandler.has(handler)) ofHandler.set(handler, new InFlight())
    return ofHandler.get(handler)
  }

  enter () {
    this.#count++
  }

  leave () {
    this.#count--
    if (this.#count === 0) for (const resolve of this.#whenNone.splice(0)) resolve()
  }

  /** @returns {Promise<void>} when there is none */
  none () {
    if (this.#count === 0) return Promise.resolve()
    return new Promise(resolve => this.#whenNone.push(resolve))
  }
}

module.exports = { InFlight }

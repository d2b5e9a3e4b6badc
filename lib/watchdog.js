'use strict'

// Notices a Python thread that answers nobody, and warns once with what it is doing.

const { setTimeout } = require('./timers.js')

/** How often it looks while requests are in flight. */
const PERIOD = 1_000

/** How long a stack may take to be read before the warning goes without it: C code may hold the GIL. */
const PATIENCE = 1_000

class Watchdog {
  #environment
  #threshold
  #timer = null

  /**
   * @param {import('./environment.js').Environment} environment
   * @param {number} threshold milliseconds
   */
  constructor (environment, threshold) {
    this.#environment = environment
    this.#threshold = threshold
  }

  /** Requests are in flight. */
  watch (service) {
    if (this.#timer !== null || this.#threshold === 0) return
    this.#timer = setTimeout(() => this.#look(service), Math.min(PERIOD, this.#threshold))
    this.#timer.unref()
    this.#environment.native.probe()
  }

  #look (service) {
    this.#timer = null
    const [lag] = this.#environment.native.lag()
    const environment = this.#environment
    if (lag < this.#threshold) {
      if (environment.stuckSince === this) environment.stuckSince = null
    } else if (environment.stuckSince === null) {
      // Once, whichever handler's watchdog is first: there is one Python thread.
      environment.stuckSince = this
      this.#warn(lag)
    }
    if (service.inFlight > 0) this.watch(service)
  }

  async #warn (lag) {
    const stack = await this.#environment.stack(PATIENCE)
    process.emitWarning(`the Python thread has answered nobody for ${Math.round(lag)} ms; a blocking call or a long computation keeps its event loop`, {
      type: 'PythonHandlerWarning',
      code: 'PYTHON_STUCK',
      detail: stack ?? 'its stack cannot be read: C code holds the GIL'
    })
  }
}

module.exports = { Watchdog }

'use strict'

// Tells how many bytes of a body have passed: at most once in a turn of the event loop.

const { setImmediate } = require('./timers.js')

/**
 * How much of a body has passed.
 *
 * @typedef Progress
 * @property loaded Bytes so far.
 * @property total All bytes; null where that is not known.
 */

class Progress {
  #callback
  #loaded = 0
  #total
  #scheduled = false

  /**
   * @param {(progress: { loaded: number, total: number | null }) => void} callback
   * @param {number | null} total bytes, if known
   */
  constructor (callback, total) {
    this.#callback = callback
    this.#total = total
  }

  add (bytes) {
    this.#loaded += bytes
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#callback({ loaded: this.#loaded, total: this.#total })
    })
  }
}

module.exports = { Progress }

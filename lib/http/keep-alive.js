'use strict'

/**
 * The WebSockets of one attachment, from their request to the end of their connection, and the pings that tell which of
 * their clients have gone. The timer runs while there are any. Runs on the JS thread.
 */

const { setImmediate, setTimeout } = require('../timers.js')

class KeepAlive {
  #members = new Set()
  #interval
  #timer
  #whenNone = []

  /** @param {number} interval milliseconds between pings; 0: none */
  constructor (interval) {
    this.#interval = interval
  }

  /** @param {{ ping(): void }} member */
  add (member) {
    this.#members.add(member)
    if (this.#timer === undefined && this.#interval > 0) this.#arm()
  }

  delete (member) {
    this.#members.delete(member)
    if (this.#members.size === 0) for (const resolve of this.#whenNone.splice(0)) resolve()
  }

  /** @returns {Promise<void>} when there is none */
  none () {
    if (this.#members.size === 0) return Promise.resolve()
    return new Promise(resolve => this.#whenNone.push(resolve))
  }

  [Symbol.iterator] () {
    return this.#members.values()
  }

  #arm () {
    // After the sockets were read: answers that came while the thread was busy are signs of life.
    this.#timer = setTimeout(setImmediate, this.#interval, () => this.#ping())
    this.#timer.unref()
  }

  #ping () {
    this.#timer = undefined
    if (this.#members.size === 0) return
    for (const member of this.#members) member.ping()
    this.#arm()
  }
}

module.exports = { KeepAlive }

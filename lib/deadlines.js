'use strict'

// Deadlines of calls that all have the same time to live. They run out in the order in which they were added, so
// one timer serves them all.

const { nextTick, now, setTimeout } = require('./timers.js')

class Deadlines {
  #limit
  #calls = new Set()
  #timer = null

  /** @param {number} limit milliseconds */
  constructor (limit) {
    this.#limit = limit
  }

  /** @param {{ deadline: number, expire(): void }} call */
  add (call) {
    call.deadline = now() + this.#limit
    this.#calls.add(call)
    if (this.#timer === null) this.#arm(this.#limit)
  }

  /** The call has shown life: its time begins anew. */
  renew (call) {
    this.#calls.delete(call)
    this.add(call)
  }

  remove (call) {
    this.#calls.delete(call)
  }

  #arm (delay) {
    // What is in flight keeps the process alive, not its deadline.
    this.#timer = setTimeout(() => this.#run(), delay)
    this.#timer.unref()
  }

  #run () {
    this.#timer = null
    const time = now()
    for (const call of this.#calls) {
      const left = call.deadline - time
      if (left > 0) {
        this.#arm(Math.ceil(left))
        return
      }
      this.#calls.delete(call)
      try {
        call.expire()
      } catch (error) {
        // Thrown by a listener of the caller's, who hears of it; the other calls expire as well.
        nextTick(() => { throw error })
      }
    }
  }
}

const byLimit = new Map()

/** @param {number} limit milliseconds */
function deadlinesOf (limit) {
  let deadlines = byLimit.get(limit)
  if (deadlines === undefined) byLimit.set(limit, deadlines = new Deadlines(limit))
  return deadlines
}

module.exports = { deadlinesOf }

'use strict'

// What a call keeps while it waits for room: copies, as the caller may use its buffers again. Made and used up by the call, on
// the JS thread; dropped when the call begins, or ends before.

const { AsyncResource } = require('node:async_hooks')

class Waiting {
  #crossing
  #resource
  /** Messages of a WebSocket, in order. */
  messages = []

  /**
   * @param {import('./crossing.js').Crossing} crossing what crosses when the call begins
   * @param {AsyncResource | null} resource the caller's async context, if it is known already
   */
  constructor (crossing, resource) {
    const { body } = crossing
    this.#crossing = { ...crossing, body: body === undefined ? undefined : Buffer.from(body) }
    crossing.body = crossing.source = crossing.extra = undefined
    this.#resource = resource ?? new AsyncResource('PythonRequest')
  }

  keep (bytes, text) {
    this.messages.push({ bytes: Buffer.from(bytes), text })
  }

  /** Begins the call, in its caller's async context. Throws what is wrong with it. */
  end (call) {
    this.#resource.runInAsyncScope(call.begin, call, this.#crossing)
  }
}

module.exports = { Waiting }

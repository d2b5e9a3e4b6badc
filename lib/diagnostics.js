'use strict'

// What `node:diagnostics_channel` subscribers are told of each request. Nothing is made where nobody subscribes.

const diagnostics = require('node:diagnostics_channel')

const start = diagnostics.channel('python-node:request:start')
const headers = diagnostics.channel('python-node:request:headers')
const end = diagnostics.channel('python-node:request:end')
const error = diagnostics.channel('python-node:request:error')

/** One request as subscribers see it: the same object from its start to its end. */
class Trace {
  #request

  constructor (request) {
    this.#request = request
    start.publish(request)
  }

  /**
   * @param {number} id
   * @param {import('./request.js').Request | object} request
   * @returns {Trace | null} null where nobody wants to know
   */
  static begin (id, request) {
    if (!start.hasSubscribers && !headers.hasSubscribers && !end.hasSubscribers && !error.hasSubscribers) return null
    const { method = 'GET', url } = request
    return new Trace({ id, method, url: url instanceof URL ? url.href : url, response: undefined, error: undefined })
  }

  head (status) {
    this.#request.response = { status }
    headers.publish(this.#request)
  }

  end (failure) {
    if (failure !== undefined) {
      this.#request.error = failure
      error.publish(this.#request)
    }
    end.publish(this.#request)
  }
}

module.exports = { Trace }

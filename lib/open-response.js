'use strict'

// A response that goes on after its head: its reader, and the response itself as long as somebody holds it. Made by the call at
// the head, and told by it what comes, on the JS thread. Once nobody holds the response, the call is told.

const { Response } = require('./response.js')

/** A response that nobody holds any more is not read on either. */
const abandoned = new FinalizationRegistry(call => call.abandon())

class OpenResponse {
  #call
  /** Weakly: the registry is to tell when nobody else holds it. */
  #response
  reader

  /**
   * @param {{ abandon(): void }} call
   * @param {Response} response
   * @param {import('./body-reader.js').BodyReader} reader
   */
  constructor (call, response, reader) {
    this.#call = call
    this.#response = new WeakRef(response)
    this.reader = reader
    Response.attach(response, reader)
    abandoned.register(response, call, call)
  }

  /** The call is told again. @returns {boolean} whether anybody holds the response */
  watch () {
    const response = this.#response.deref()
    if (response === undefined) return false
    abandoned.register(response, this.#call, this.#call)
    return true
  }

  /** The call is told when nobody holds the request, which outlives the response. */
  watchRequest (request) {
    abandoned.register(request, this.#call, this.#call)
  }

  /** The call need not be told. */
  unwatch () {
    abandoned.unregister(this.#call)
  }

  setTrailers (trailers) {
    const response = this.#response.deref()
    if (response !== undefined) Response.setTrailers(response, trailers)
  }

  // --------------------------------------- that of a WebSocket, with the names of an attached socket

  message (_text, bytes) {
    this.reader.push(bytes)
  }

  closed (code, reason) {
    const response = this.#response.deref()
    if (response !== undefined) Response.setClosed(response, { code, reason })
    this.reader.end()
  }
}

module.exports = { OpenResponse }

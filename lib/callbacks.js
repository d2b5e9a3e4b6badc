'use strict'

// What a caller wants to be told of its request besides the response, and the flags that say what it can take. Made with the
// call, which passes on what comes, on the JS thread; dropped with it. The callbacks run in the caller's async context, as
// promises do by themselves.

const { AsyncResource } = require('node:async_hooks')
const { Headers } = require('./headers.js')
const notices = require('./notice.js')
const { Progress } = require('./progress.js')
const { queueMicrotask } = require('./timers.js')

class Callbacks extends AsyncResource {
  #options

  /** @param {object} options callbacks and flags of the caller */
  constructor (options) {
    super('PythonRequest')
    this.#options = options
  }

  /** @returns {number} bits, one for each kind of notice that the application may give */
  capabilities (streamed) {
    return notices.capabilitiesOf(this.#options, streamed)
  }

  /** Whether the request's body is read when the application asks for it. */
  get bodyOnDemand () {
    return this.#options.bodyOnDemand === true
  }

  /** Tells what the application gave besides the response, if `kind` is one of those that are only told. */
  notice (kind, text) {
    switch (kind) {
      case notices.EARLY_HINT:
        this.#tell(this.#options.onEarlyHints, { link: notices.readLinks(text) })
        break
      case notices.PUSH:
        this.#tell(this.#options.onPush, notices.readPush(text))
        break
      case notices.DEBUG:
        this.#tell(this.#options.onDebug, JSON.parse(text))
        break
    }
  }

  /** The response's body came in one piece. */
  downloaded (length) {
    const { onDownloadProgress } = this.#options
    if (isGiven(onDownloadProgress)) this.#tell(onDownloadProgress, { loaded: length, total: length })
  }

  /** @returns {Progress | null} of the response's body, where somebody wants to know */
  download (headers) {
    const { onDownloadProgress } = this.#options
    return isGiven(onDownloadProgress) ? this.#progress(onDownloadProgress, toLength(headers.get('content-length'))) : null
  }

  /** The request begins. @returns {Progress | null} of a body that is not given yet, where somebody wants to know */
  upload (request, body) {
    const { onUploadProgress } = this.#options
    if (!isGiven(onUploadProgress)) return null
    if (body === undefined) return this.#progress(onUploadProgress, toLength(new Headers(request.headers).get('content-length')))
    this.#progress(onUploadProgress, body.length).add(body.length)
    return null
  }

  #progress (callback, total) {
    return new Progress(value => this.runInAsyncScope(callback, undefined, value), total)
  }

  /** What the callback throws is the caller's uncaught exception, and stops nothing here. */
  #tell (callback, value) {
    try {
      this.runInAsyncScope(callback, undefined, value)
    } catch (error) {
      queueMicrotask(() => { throw error })
    }
  }
}

function isGiven (callback) {
  return callback !== undefined && callback !== null
}

/** @returns {number | null} what a content-length says, if it says a length */
function toLength (text) {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null
}

module.exports = { Callbacks }

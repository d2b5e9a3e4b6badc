'use strict'

// What a caller gives beside a request: its signal, its callbacks, and what it can take. Checked on the JS thread, for each
// call; throws what is wrong with it.

const { checkSignal } = require('./abort.js')
const { PythonHandlerError } = require('./errors.js')

/**
 * What `handleRequest` and `handleStream` take beside the request.
 *
 * @typedef HandleOptions
 * @property signal Its abort ends the request.
 * @property onUploadProgress Called with the bytes of the request's body that were sent, at most once in a turn of the event
 *   loop.
 * @property onDownloadProgress Called with the bytes of the response's body that were read, at most once in a turn of the event
 *   loop.
 * @property onEarlyHints Announces `http.response.early_hint` to the application; called with the values of its `link` headers.
 * @property onPush Announces `http.response.push` to the application; called with what it would push.
 * @property onDebug Announces `http.response.debug` to the application; called with its `info`.
 * @property trailers Whether `http.response.trailers` is announced to the application. Default: true.
 * @property pathSend Whether `http.response.pathsend` is announced to the application, by `handleStream`. Default: true.
 * @property bodyOnDemand Whether a stream that is the body of the request is read only when the application first receives,
 *   and not if it never does. Default: false, it is read ahead up to `highWaterMark`.
 */

const CALLBACKS = ['onEarlyHints', 'onPush', 'onDebug', 'onUploadProgress', 'onDownloadProgress']

/** The options of a call, checked; undefined for none. */
function callbacksOf (options) {
  if (options === undefined || options === null) return undefined
  let found = options.trailers !== undefined || options.pathSend !== undefined || options.bodyOnDemand !== undefined
  for (const name of CALLBACKS) {
    const callback = options[name]
    if (callback === undefined || callback === null) continue
    if (typeof callback !== 'function') {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `\`${name}\` must be a function`)
    }
    found = true
  }
  return found ? options : undefined
}

/** @returns {AbortSignal | undefined} */
function signalOf (options) {
  if (options === undefined || options === null) return undefined
  if (typeof options !== 'object') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `expected options or an AbortSignal, not ${typeof options}`)
  }
  return checkSignal(typeof options.addEventListener === 'function' ? options : options.signal)
}

module.exports = { callbacksOf, signalOf }

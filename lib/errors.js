'use strict'

// The one error class of this package. Users match on `code`, never on the wording. The codes that the native side gives are
// documented in src/error.rs, the others here.

/**
 * Every `code` of a `PythonHandlerError`.
 *
 * @typedef PythonHandlerErrorCode
 * @property ERR_PYTHON_INVALID_STATUS The application's: `handler.fetch()`: its status is above 599.
 * @property ERR_PYTHON_REDIRECT The application's: `fetch`: it redirects, and the request takes no redirect.
 * @property ERR_PYTHON_WEBSOCKET_REFUSED The application's: `handler.connect()`: it refused the WebSocket.
 * @property ERR_PYTHON_INVALID_RESPONSE The application's: `./http`: its status or `content-length` cannot be sent.
 * @property ERR_PYTHON_CONTENT_LENGTH_MISMATCH The application's: `./http`: its body is shorter or longer than its
 *   `content-length`.
 * @property ERR_PYTHON_IDLE_TIMEOUT The application's: a stream gave and took nothing for `idleTimeout`.
 * @property ERR_PYTHON_INVALID_ARGUMENT The caller's: an option or argument of the wrong kind.
 * @property ERR_PYTHON_DOCROOT The caller's: `docroot` is no folder.
 * @property ERR_PYTHON_INVALID_METHOD The caller's: the method is no HTTP token.
 * @property ERR_PYTHON_INVALID_URL The caller's: the url is malformed.
 * @property ERR_PYTHON_INVALID_HEADER The caller's: the name or value of a header is malformed.
 * @property ERR_PYTHON_BODY_TOO_LARGE The caller's: the request's body is above `maxBodySize`.
 * @property ERR_PYTHON_HEADERS_TOO_LARGE The caller's: the request has more headers than `maxHeaders`, or is above
 *   `maxHeaderSize`.
 * @property ERR_PYTHON_MESSAGE_TOO_LARGE The caller's: a message of a WebSocket is above `maxMessageSize`.
 * @property ERR_PYTHON_OVERLOADED The caller's: `maxInFlight` requests are in flight, and `maxQueued` wait.
 * @property ERR_PYTHON_BODY The caller's: `request.write()` where the body was given, or has ended; a stream as a body that is that of another
 *   request, or has been read.
 * @property ERR_PYTHON_BODY_CONSUMED The caller's: `./http`: another middleware has read the request's body.
 * @property ERR_PYTHON_INVALID_REQUEST The client's: the framing of the request is ambiguous or malformed.
 * @property ERR_PYTHON_UNSUPPORTED_CODING The client's: a transfer coding other than `chunked`.
 * @property ERR_PYTHON_UNSUPPORTED_PROTOCOL The client's: a request line of another version than HTTP/1.
 * @property ERR_PYTHON_CLIENT_DISCONNECTED The client's: the client closed the connection.
 * @property ERR_PYTHON_INTERPRETER_NOT_FOUND The machine's: there is no interpreter where one was looked for.
 * @property ERR_PYTHON_INTERPRETER_FAILED The machine's: the interpreter does not run.
 * @property ERR_PYTHON_VERSION_UNSUPPORTED The machine's: the interpreter is older than 3.8, or not CPython.
 * @property ERR_PYTHON_FREE_THREADED The machine's: the interpreter is a free-threaded build.
 * @property ERR_PYTHON_LIBRARY_NOT_FOUND The machine's: the interpreter has no shared library.
 * @property ERR_PYTHON_LIBRARY_LOAD The machine's: the interpreter's shared library cannot be loaded.
 * @property ERR_PYTHON_ADDON_NOT_FOUND The machine's: there is no addon for this platform, or one of another version.
 * @property ERR_PYTHON_ADDON_LOAD The machine's: the addon cannot be loaded.
 * @property ERR_PYTHON_WS_NOT_FOUND The machine's: `attachWebSocket` cannot serve: the package `ws` is not installed.
 */

/**
 * Every error of this package. Match on `code`: wordings change, codes do not.
 *
 * @example
 * ```js
 * const handler = await PythonHandler.load()
 * try {
 *   await handler.handleRequest({ url: '/error' })
 * } catch (error) {
 *   console.log(error.code, error.pythonType) // ERR_PYTHON_EXCEPTION ValueError
 *   console.log(error.message) // ValueError: out of tea
 * }
 * ```
 *
 * @property name `'PythonHandlerError'`
 * @property code What happened.
 * @property status Of `ERR_PYTHON_WEBSOCKET_REFUSED`: the status that the application refused with.
 * @property response Of `ERR_PYTHON_WEBSOCKET_REFUSED`: the refusal. Its body is for whoever begins to read it when the error
 *   is told (in the `error` event, after an `await` of it, in the `catch` of a loop): with the `close` event, an unread one is
 *   let go.
 * @property cause The JavaScript error behind it, where there is one.
 */
class PythonHandlerError extends Error {
  // Every other key of the options becomes an own property.
  constructor (code, message, { cause, ...extra } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    Object.assign(this, extra)
  }

  /**
   * What the native side described.
   *
   * @param {{ code: string, message: string, pythonType?: string, pythonMessage?: string, traceback?: string }} failure
   */
  static fromNative ({ code, message, pythonType, pythonMessage, traceback }) {
    if (pythonType === undefined) return new PythonHandlerError(code, message)
    const text = code === 'ERR_PYTHON_IMPORT' ? `${message}\n${traceback}` : message
    return new PythonHandlerError(code, text, { pythonType, pythonMessage, traceback })
  }
}

// On the prototype, so that the first line of `stack`, taken in Error's constructor, has it.
Object.defineProperty(PythonHandlerError.prototype, 'name', {
  value: 'PythonHandlerError',
  writable: true,
  configurable: true
})

/** Any value as text for a message; never throws. */
function shown (value) {
  try {
    return JSON.stringify(String(value).slice(0, 80))
  } catch {
    return Array.isArray(value) ? 'an array' : `an ${typeof value}`
  }
}

module.exports = { PythonHandlerError, shown }

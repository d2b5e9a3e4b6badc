'use strict'

/**
 * The function that a server calls for each request. What belongs to all requests of one listener is settled
 * here once; each request then lives in its own `Exchange`.
 */

const { PythonHandlerError } = require('../errors.js')
const { PythonHandler } = require('../handler.js')
const { checkOptions, flag } = require('../options.js')
const { Connections } = require('./connections.js')
const { Exchange } = require('./exchange.js')
const { logFailure } = require('./failure.js')
const { InFlight } = require('./in-flight.js')

/**
 * Serves one request. Fits `node:http`, `node:https` and `node:http2` servers (the 'request' and 'checkContinue'
 * events), Express and Connect. Returns at once and never throws.
 *
 * @typedef RequestListener
 */

/**
 * Options of {@link createRequestListener}.
 *
 * @typedef RequestListenerOptions
 * @property onError Called for each request that failed, before it is answered; not when the client has left. Return `true` to
 *   answer it yourself, now or later (`next(error)` in Express). Otherwise the listener answers in plain text with the status
 *   of {@link createRequestListener}'s table. Once the head was sent, the connection is destroyed in either case.
 *
 *   Default: writes failures of status 500 and above to stderr, with the Python traceback; not 501 and 505, which are the
 *   client's, nor `ERR_PYTHON_CLOSED`.
 * @property exposeErrors Whether the answer to a failed request shows the error with its Python traceback. Never does where
 *   `NODE_ENV` is `production` when the listener is made. Default: `true`.
 * @property pathSend Whether `http.response.pathsend` is announced to the application. Middleware that waits for the first
 *   `http.response.body` and does not know it fails or sends nothing (brotli-asgi, zstd-asgi, SlowAPIASGIMiddleware);
 *   Starlette's GZipMiddleware leaves such a file uncompressed. Default: `true`.
 */

/**
 * Makes a request listener that serves the handler's application. Bodies are streamed both ways with
 * backpressure; a client that leaves is reported to the application as `http.disconnect`.
 *
 * Mounted under a prefix by Express or Connect, the prefix is the scope's `root_path` and stays in its `path`.
 * Mount it before body parsers; of the bodies these have read, only those kept as a Buffer (`express.raw()`) can
 * still be passed on. A listener of 'data' or a pipe that begins in the turn in which this one is called shares the body.
 * Scheme and client address follow Express's `trust proxy` setting; without Express, `X-Forwarded-*` is not read, and
 * `req.protocol` and `req.ip` count where they were set before.
 *
 * With `server.on('checkContinue', listener)` a client that sent `Expect: 100-continue` is asked for its body when the
 * application first receives, and not after the head of the response: an application that refuses by the headers alone
 * is sent no body. Without it, Node asks at once.
 *
 * Of the ASGI extensions, files and, under TLS, `tls` are announced to every request, early hints from HTTP/1.1 on,
 * trailers to a client that sent `TE: trailers`, pushes to one of HTTP/2 that takes them.
 *
 * A file that cannot be read is a 500 where the application sends it along with the head; later, the response is broken off.
 * For HEAD, 204 and 304 no file is opened, and what the application sends of a body is taken for a second; then it is told
 * that the client has left.
 *
 * | code of the error | status |
 * | --- | --- |
 * | `ERR_PYTHON_INVALID_METHOD`, `ERR_PYTHON_INVALID_URL` | 400 |
 * | `ERR_PYTHON_INVALID_HEADER`, in the request | 400 |
 * | `ERR_PYTHON_INVALID_REQUEST`: framing or target that can be read in two ways | 400, connection closed |
 * | `ERR_PYTHON_BODY_TOO_LARGE`, by its `content-length` before the application is called | 413; what remains of the body is read for 2 s or 8 MiB, then the connection closed; over HTTP/2 the stream reset, without an error |
 * | `ERR_PYTHON_HEADERS_TOO_LARGE` | 431 |
 * | `ERR_PYTHON_UNSUPPORTED_CODING`: a transfer coding other than chunked | 501, connection closed |
 * | `ERR_PYTHON_UNSUPPORTED_PROTOCOL`: a request line of another version than HTTP/1 | 505, connection closed |
 * | `ERR_PYTHON_OVERLOADED` | 503 with `retry-after` |
 * | `ERR_PYTHON_CLOSED`: the handler is closed | 503 with `retry-after`, connection closed |
 * | `ERR_PYTHON_RESPONSE_TIMEOUT` | 504 |
 * | `ERR_PYTHON_BODY_CONSUMED`: another middleware has read the body, or a part of it | 500 |
 * | `ERR_PYTHON_INVALID_RESPONSE`: a status or `content-length` that cannot be sent, a file whose path is not absolute | 500 |
 * | `ERR_PYTHON_CONTENT_LENGTH_MISMATCH`: body and `content-length` of the application differ | 500 |
 * | any other | 500 |
 *
 * @throws {PythonHandlerError} `ERR_PYTHON_INVALID_ARGUMENT`
 *
 * @example
 * ```js
 * const http = require('node:http')
 * const { PythonHandler } = require('@platformatic/python-node')
 * const { createRequestListener } = require('@platformatic/python-node/http')
 *
 * const handler = new PythonHandler({ docroot: __dirname, appTarget: 'main:app' })
 * http.createServer(createRequestListener(handler)).listen(3000)
 * ```
 */
function createRequestListener (handler, options = {}) {
  if (typeof handler?.handleStream !== 'function') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`handler` must be a PythonHandler')
  }
  checkOptions(options)
  const { onError = logFailure } = options
  if (typeof onError !== 'function') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`onError` must be a function')
  }
  const service = {
    handler,
    calls: handler instanceof PythonHandler ? PythonHandler.serviceOf(handler) : null,
    inFlight: InFlight.of(handler),
    onError,
    pathSend: flag(options, 'pathSend', true),
    exposeErrors: flag(options, 'exposeErrors', true) && process.env.NODE_ENV !== 'production'
  }
  Connections.watch()

  return function requestListener (req, res, next) {
    new Exchange(service, req, res, next).run()
  }
}

module.exports = { createRequestListener }

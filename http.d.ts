import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { PythonHandler } from './index.js'

/**
 * Serves one request. Fits `node:http`, `node:https` and `node:http2` servers (the 'request' and 'checkContinue'
 * events), Express and Connect. Returns at once and never throws.
 */
export interface RequestListener {
  (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void): void
  (req: Http2ServerRequest, res: Http2ServerResponse): void
}

/** How a failed request is going to be answered. */
export interface FailureContext {
  /** The status of the answer. Below 500 the client is at fault. */
  status: number
  /** What Express or Connect passed to the listener. */
  next?: (error?: unknown) => void
}

export interface RequestListenerOptions {
  /**
   * Called for each request that failed, before it is answered; not when the client has left. Return `true` to
   * answer it yourself, now or later (`next(error)` in Express). Otherwise the listener answers in plain text with
   * the status of {@link createRequestListener}'s table. Once the head was sent, the connection is destroyed in
   * either case.
   *
   * Default: writes failures of status 500 and above to stderr, with the Python traceback.
   */
  onError?: (
    error: Error & { code?: string, traceback?: string },
    req: IncomingMessage | Http2ServerRequest,
    res: ServerResponse | Http2ServerResponse,
    context: FailureContext
  ) => boolean | void

  /**
   * Whether the answer to a failed request shows the error with its Python traceback. Never does where
   * `NODE_ENV` is `production` when the listener is made. Default: `true`.
   */
  exposeErrors?: boolean
}

/**
 * Makes a request listener that serves the handler's application. Bodies are streamed both ways with
 * backpressure; a client that leaves is reported to the application as `http.disconnect`.
 *
 * Mounted under a prefix by Express or Connect, the prefix is the scope's `root_path` and stays in its `path`.
 * Mount it before body parsers; of the bodies these have read, only those kept as a Buffer (`express.raw()`) can
 * still be passed on. Scheme and client address follow Express's `trust proxy` setting.
 *
 * With `server.on('checkContinue', listener)` a client that sent `Expect: 100-continue` is asked for its body when
 * the body is first read; without it, Node asks at once.
 *
 * | code of the error | status |
 * | --- | --- |
 * | `ERR_PYTHON_INVALID_METHOD`, `ERR_PYTHON_INVALID_URL` | 400 |
 * | `ERR_PYTHON_INVALID_HEADER`, in the request | 400 |
 * | `ERR_PYTHON_INVALID_REQUEST`: framing or target that can be read in two ways | 400, connection closed |
 * | `ERR_PYTHON_BODY_TOO_LARGE` | 413 |
 * | `ERR_PYTHON_HEADERS_TOO_LARGE` | 431 |
 * | `ERR_PYTHON_UNSUPPORTED_CODING`: a transfer coding other than chunked | 501, connection closed |
 * | `ERR_PYTHON_OVERLOADED` | 503 with `retry-after` |
 * | `ERR_PYTHON_RESPONSE_TIMEOUT` | 504 |
 * | `ERR_PYTHON_BODY_CONSUMED`: another middleware has read the body | 500 |
 * | `ERR_PYTHON_INVALID_RESPONSE`: a status or `content-length` that cannot be sent | 500 |
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
export function createRequestListener (handler: PythonHandler, options?: RequestListenerOptions): RequestListener

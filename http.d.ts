import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2Server, Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Server as SecureServer } from 'node:https'
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
   * Default: writes failures of status 500 and above to stderr, with the Python traceback; not 501 and 505, which are the
   * client's, nor `ERR_PYTHON_CLOSED`.
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

  /**
   * Whether `http.response.pathsend` is announced to the application. Middleware that waits for the first
   * `http.response.body` and does not know it fails or sends nothing (brotli-asgi, zstd-asgi, SlowAPIASGIMiddleware);
   * Starlette's GZipMiddleware leaves such a file uncompressed. Default: `true`.
   */
  pathSend?: boolean
}

/**
 * Makes a request listener that serves the handler's application. Bodies are streamed both ways with
 * backpressure; a client that leaves is reported to the application as `http.disconnect`.
 *
 * Mounted under a prefix by Express or Connect, the prefix is the scope's `root_path` and stays in its `path`.
 * Mount it before body parsers; of the bodies these have read, only those kept as a Buffer (`express.raw()`) can
 * still be passed on. Scheme and client address follow Express's `trust proxy` setting.
 *
 * With `server.on('checkContinue', listener)` a client that sent `Expect: 100-continue` is asked for its body when the
 * application first receives, and not after the head of the response: an application that refuses by the headers alone
 * is sent no body. Without it, Node asks at once.
 *
 * Of the ASGI extensions, files and, under TLS, `tls` are announced to every request, early hints from HTTP/1.1 on,
 * trailers to a client that sent `TE: trailers`, pushes to one of HTTP/2 that takes them.
 *
 * A file that cannot be read is a 500 where the application sends it along with the head; later, the response is broken off.
 * To HEAD, no file is opened.
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
 * | `ERR_PYTHON_BODY_CONSUMED`: another middleware has read the body | 500 |
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
export function createRequestListener (handler: PythonHandler, options?: RequestListenerOptions): RequestListener

/**
 * Options of {@link attachWebSocket}. Further ones are those of `ws`'s `WebSocketServer`, except those that would do
 * nothing: `verifyClient` (check the client in the application, or in an 'upgrade' listener of the server's before),
 * `handleProtocols` (the application chooses), `server`, `noServer`, `host`, `port` and `backlog`.
 */
export interface WebSocketOptions {
  /** Only WebSockets of this path, which begins with a slash and has no query, are served. Default: those of every path. */
  path?: string

  /** Bytes of a message of the client, after decompression; a longer one closes with 1009. 0 or `Infinity`: any. Default: 16 MiB. */
  maxPayload?: number

  /** Whether compression is negotiated with clients that offer it, or `ws`'s options of it. Default: `true`. */
  perMessageDeflate?: boolean | Record<string, unknown>

  /**
   * Milliseconds between pings. A client that sends nothing from one to the next, not even the answer, is cut, and the
   * application receives `websocket.disconnect` with 1006. 0 or `Infinity`: no pings. Default: 20000.
   */
  pingInterval?: number

  /**
   * Called for each WebSocket that failed; before the accept with the response it is going to be answered with, after
   * it with null. Return `true` to answer it yourself.
   *
   * Default: as that of {@link RequestListenerOptions}.
   */
  onError?: (
    error: Error & { code?: string, traceback?: string },
    req: IncomingMessage,
    res: ServerResponse | null,
    context: FailureContext
  ) => boolean | void

  /** Whether the answer to a failed handshake shows the error. As that of {@link RequestListenerOptions}. */
  exposeErrors?: boolean

  [option: string]: unknown
}

/** What {@link attachWebSocket} gives. */
export interface WebSocketAttachment {
  /** Serves no more WebSockets, and closes those that are open with 1001. */
  close (): void
}

/**
 * Serves the WebSockets of a server with the handler's application, by the package `ws`: `npm install ws`.
 *
 * The application decides before the client is answered: an accept with its subprotocol and headers, a refusal (403),
 * or a response of its own. Messages are held back in both directions while the other side does not take them.
 *
 * Several handlers on one server: each with its `path`; one without serves the rest. A path that nobody serves is a 404,
 * an upgrade to another protocol is served as the request it also is, unless the server has 'upgrade' listeners of
 * others. Browsers let pages of every origin open WebSockets, with cookies: check `origin` in the application.
 *
 * A connection that is closed for what the client sent, as below, is a `websocket.disconnect` with that code.
 *
 * | failure | the client gets |
 * | --- | --- |
 * | malformed handshake, one with a body, one of HTTP/1.0 | 400; 426 for another version |
 * | the application failed before the accept | the status of {@link createRequestListener}'s table |
 * | it failed after the accept | 1011 |
 * | its refusal is shorter or longer than its `content-length` | the connection is cut (`ERR_PYTHON_CONTENT_LENGTH_MISMATCH`) |
 * | message above `maxPayload` or the handler's `maxMessageSize` | 1009 |
 * | text that is no UTF-8, a message that cannot be decompressed | 1007 |
 * | frames that break the protocol | 1002 |
 * | the handler closes | 1001 |
 *
 * @param server One of `node:http` or `node:https`, or of `node:http2` with `allowHTTP1`: WebSockets are HTTP/1.1.
 * @throws {PythonHandlerError} `ERR_PYTHON_WS_NOT_FOUND` without the package `ws`; `ERR_PYTHON_INVALID_ARGUMENT`
 *
 * @example
 * ```js
 * const http = require('node:http')
 * const { PythonHandler } = require('@platformatic/python-node')
 * const { attachWebSocket, createRequestListener } = require('@platformatic/python-node/http')
 *
 * const handler = new PythonHandler({ docroot: __dirname, appTarget: 'main:app' })
 * const server = http.createServer(createRequestListener(handler))
 * attachWebSocket(server, handler, { pingInterval: 30_000 })
 * server.listen(3000)
 * ```
 */
export function attachWebSocket (
  server: Server | SecureServer | Http2SecureServer,
  handler: PythonHandler,
  options?: WebSocketOptions
): WebSocketAttachment

/** Options of {@link stopGracefully}. */
export interface StopOptions {
  /**
   * Milliseconds for all of it. Requests have three quarters of them, then their connections are cut; the rest is left
   * to the application's shutdown. 0 to 2147483647. Default: 8000.
   */
  timeout?: number
}

/**
 * Stops a server and the handler behind it: takes no more connections, closes those that are idle and WebSockets with 1001,
 * lets requests finish, ends the application's lifespan, closes what is still open. Responses that begin meanwhile say
 * `Connection: close`; requests that come meanwhile are answered with 503.
 *
 * Connections that were accepted before the first {@link createRequestListener} of the process, and have had no request,
 * are not known to it: over HTTP/2, or before their TLS handshake, they stay open.
 *
 * @throws {PythonHandlerError} as a rejection: `ERR_PYTHON_SHUTDOWN` where the application's shutdown failed or did not
 *   end in time, the server is closed nevertheless; `ERR_PYTHON_INVALID_ARGUMENT`
 *
 * @example
 * ```js
 * const http = require('node:http')
 * const { PythonHandler } = require('@platformatic/python-node')
 * const { createRequestListener, stopGracefully } = require('@platformatic/python-node/http')
 *
 * const handler = new PythonHandler({ docroot: __dirname, appTarget: 'main:app' })
 * const server = http.createServer(createRequestListener(handler))
 * server.listen(3000)
 * process.once('SIGTERM', () => stopGracefully(server, handler, { timeout: 8000 }))
 * ```
 */
export function stopGracefully (
  server: Server | SecureServer | Http2Server | Http2SecureServer,
  handler: PythonHandler,
  options?: StopOptions
): Promise<void>

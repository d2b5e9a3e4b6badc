/// <reference types="node" />

// The public types of `@platformatic/python-node`. Written by hand; test/types.test.mjs compares them with
// what index.js exports, runs every example, and finds a code that is missing here.
//
// The specification that is referred to: ASGI 3.0, https://asgi.readthedocs.io/en/latest/specs/www.html

import type { Readable } from 'node:stream'

// ------------------------------------------------------------------------------------- the handler

/**
 * A Python application in this process.
 *
 * The first handler starts the interpreter; all later ones, in worker threads too, share it. An idle handler
 * does not keep the process alive, a request in flight does.
 *
 * @example
 * ```js
 * import { PythonHandler } from '@platformatic/python-node'
 *
 * const handler = await PythonHandler.load({ appTarget: 'main:app' })
 * const response = await handler.handleRequest({ url: '/hello' })
 * console.log(response.status, response.body.toString()) // 200 Hello
 * ```
 */
export declare class PythonHandler {
  /**
   * Finds and starts the interpreter, if none runs, and imports the application; blocks meanwhile.
   *
   * @throws {PythonHandlerError} for the options: `ERR_PYTHON_INVALID_ARGUMENT`, `ERR_PYTHON_DOCROOT`,
   *   `ERR_PYTHON_TARGET`; for the application: `ERR_PYTHON_IMPORT`, `ERR_PYTHON_TARGET`,
   *   `ERR_PYTHON_WSGI`; for the interpreter: `ERR_PYTHON_INTERPRETER_NOT_FOUND`, `ERR_PYTHON_INTERPRETER_FAILED`,
   *   `ERR_PYTHON_VERSION_UNSUPPORTED`, `ERR_PYTHON_FREE_THREADED`, `ERR_PYTHON_LIBRARY_NOT_FOUND`,
   *   `ERR_PYTHON_LIBRARY_LOAD`, `ERR_PYTHON_INTERPRETER_CONFLICT`, `ERR_PYTHON_EVENT_LOOP`,
   *   `ERR_PYTHON_START`; for the addon: `ERR_PYTHON_ADDON_NOT_FOUND`, `ERR_PYTHON_ADDON_LOAD`;
   *   `ERR_PYTHON_CLOSED` while the process ends
   *
   * @example
   * ```js
   * const handler = new PythonHandler({ appTarget: { file: 'main', function: 'app' }, responseTimeout: 5000 })
   * console.log(handler.handleRequestSync({ url: '/hello' }).status) // 200
   * ```
   */
  constructor (options?: PythonHandlerOptions)

  /**
   * What the constructor does, without blocking the JS thread; rejects with what the constructor throws.
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * console.log(handler.docroot === process.cwd()) // true
   * ```
   */
  static load (options?: PythonHandlerOptions): Promise<PythonHandler>

  /** The folder of the application, as an absolute path. */
  get docroot (): string

  /**
   * Resolves with the whole response.
   *
   * A plain object is a complete request. A `Request` without a body that was written to before the call
   * stays open until its `end()`.
   *
   * @param request A `Request`, or its fields.
   * @param options An `AbortSignal`, or an object that holds one. Its abort rejects the promise with
   *   `signal.reason` at once; the application receives `http.disconnect`, and is cancelled after
   *   `disconnectGrace`.
   * @throws {PythonHandlerError} as a rejection. The application's: `ERR_PYTHON_STARTUP`, `ERR_PYTHON_EXCEPTION`,
   *   `ERR_PYTHON_NO_RESPONSE`, `ERR_PYTHON_INCOMPLETE_RESPONSE`, `ERR_PYTHON_RESPONSE_TIMEOUT`,
   *   `ERR_PYTHON_CANCELLED`, `ERR_PYTHON_NOT_AWAITABLE`; the caller's: `ERR_PYTHON_INVALID_ARGUMENT`,
   *   `ERR_PYTHON_INVALID_METHOD`, `ERR_PYTHON_INVALID_URL`, `ERR_PYTHON_INVALID_HEADER`,
   *   `ERR_PYTHON_BODY_TOO_LARGE`, `ERR_PYTHON_HEADERS_TOO_LARGE`; `ERR_PYTHON_OVERLOADED`,
   *   `ERR_PYTHON_CLOSED`, `ERR_PYTHON_INTERNAL`. A body stream that fails rejects with its own error.
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const response = await handler.handleRequest({
   *   method: 'POST',
   *   url: '/echo',
   *   headers: { 'content-type': 'text/plain' },
   *   body: 'tea'
   * }, { signal: AbortSignal.timeout(5000) })
   * console.log(response.body.toString()) // tea
   * ```
   */
  handleRequest (request: Request | RequestOptions, options?: HandleOptions | AbortSignal | null): Promise<BufferedResponse>

  /**
   * Resolves at the head of the response; its body is read with `for await`, `next()` or `stream()`.
   *
   * What goes wrong before the head rejects the promise, what goes wrong after it ends the body with the
   * error. A reader that stops early is a disconnect to the application (ASGI, "Disconnect - `receive`
   * event"). At `highWaterMark` bytes that nobody has read, the application's `await send()` waits.
   *
   * A `Request` without a body stays open until its `end()`, unless its method is GET, HEAD, OPTIONS, TRACE,
   * DELETE or CONNECT or its `content-length` is 0: the application may answer while the body is written.
   *
   * @param request A `Request`, or its fields.
   * @param options As those of `handleRequest`; the signal counts until the end of the body.
   * @throws {PythonHandlerError} as `handleRequest`; the body also with `ERR_PYTHON_IDLE_TIMEOUT`
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const response = await handler.handleStream({ url: '/lines' })
   * let text = ''
   * for await (const chunk of response) text += chunk
   * console.log(text) // one two three
   * ```
   *
   * @example Both bodies at the same time.
   * ```js
   * const handler = await PythonHandler.load()
   * const request = new Request({ method: 'POST', url: '/upper' })
   * const response = await handler.handleStream(request)
   * await request.write('green')
   * console.log(String(await response.next())) // GREEN
   * await request.write('tea')
   * await request.end()
   * console.log(String(await response.next())) // TEA
   * ```
   */
  handleStream (request: Request | RequestOptions, options?: HandleOptions | AbortSignal | null): Promise<Response>

  /**
   * Returns the whole response; blocks the JS thread until it is there.
   *
   * The body has to be bytes, a string or none.
   *
   * @throws {PythonHandlerError} as `handleRequest` rejects; `ERR_PYTHON_INVALID_ARGUMENT` for a stream
   *
   * @example
   * ```js
   * const handler = new PythonHandler()
   * console.log(handler.handleRequestSync({ url: '/hello' }).body.toString()) // Hello
   * ```
   */
  handleRequestSync (request: Request | RequestOptions): BufferedResponse

  /**
   * Opens a WebSocket to the application; a refusal is its `error` event, `ERR_PYTHON_WEBSOCKET_REFUSED`.
   *
   * @param target A url, a `Request`, or the fields of one, with or without `websocket: true`.
   * @param options Or `protocols` alone, as the standard's class takes them.
   * @throws {PythonHandlerError} `ERR_PYTHON_CLOSED`, `ERR_PYTHON_INVALID_ARGUMENT`, `ERR_PYTHON_INVALID_URL`,
   *   `ERR_PYTHON_INVALID_HEADER`
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const socket = handler.connect('/socket')
   * socket.addEventListener('open', () => socket.send('green tea'))
   * for await (const message of socket) {
   *   console.log(message) // GREEN TEA
   *   socket.close()
   * }
   * ```
   */
  connect (
    target: string | URL | Request | RequestOptions,
    options?: ConnectOptions | string | readonly string[] | null
  ): PythonWebSocket

  /**
   * The application as `fetch` would see a server: no redirects followed, no cookies kept, `signal` honoured. A
   * path is asked of `http://localhost`.
   *
   * A `TypeError`, as `fetch` rejects with, has as its `cause` what is wrong: `ERR_PYTHON_INVALID_URL` for a url that is not
   * http, `ERR_PYTHON_REDIRECT` for a redirect where the request says `redirect: 'error'`.
   *
   * @throws {PythonHandlerError} as a rejection: as `handleStream`; `ERR_PYTHON_INVALID_STATUS` for a status above
   *   599, which a fetch `Response` cannot have
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const response = await handler.fetch('/echo', { method: 'POST', body: 'tea' })
   * console.log(response.status, await response.text()) // 200 tea
   * ```
   */
  fetch (input: string | URL | globalThis.Request, init?: FetchOptions): Promise<FetchResponse>

  /**
   * Resolves when the application's startup has ended (ASGI, "Lifespan Protocol"), at once where it has none.
   * Requests wait for it by themselves.
   *
   * @throws {PythonHandlerError} as a rejection: `ERR_PYTHON_STARTUP`, `ERR_PYTHON_CLOSED`
   */
  ready (): Promise<void>

  /**
   * Takes no more requests (`ERR_PYTHON_CLOSED`), closes WebSockets with code 1001, lets requests in flight finish,
   * and ends the application's lifespan. What is still in flight after `timeout` fails with `ERR_PYTHON_CLOSED`; the
   * application's shutdown has what is left of it, at least 100 ms, and is cancelled then.
   * Python itself runs on. A second call gives the first one's promise.
   *
   * @throws {PythonHandlerError} as a rejection: `ERR_PYTHON_SHUTDOWN` where the application's shutdown failed or did
   *   not end in time; `ERR_PYTHON_INVALID_ARGUMENT`
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * await handler.ready()
   * await handler.close({ timeout: 1000 })
   * const error = await handler.handleRequest({ url: '/hello' }).catch(error => error)
   * console.log(error.code) // ERR_PYTHON_CLOSED
   * ```
   */
  close (options?: CloseOptions): Promise<void>

  /**
   * What the handler does now and has done so far.
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * await handler.handleRequest({ url: '/hello' })
   * const { inFlight, completed, bytesReceived } = handler.stats()
   * console.log(inFlight, completed, bytesReceived) // 0 1 5
   * ```
   */
  stats (): HandlerStats

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose] (): Promise<void>
}

export {
  /** The name of `PythonHandler` in version 2. */
  PythonHandler as Python
}

/** Options of `PythonHandler`. */
export interface PythonHandlerOptions {
  /**
   * The folder that holds the application's module, first on `sys.path`; applications find it in
   * `scope["extensions"]["python_node"]["docroot"]`.
   *
   * Default: `process.cwd()`. No such folder: `ERR_PYTHON_DOCROOT`.
   */
  docroot?: string | undefined

  /** Which object is the application. Default: `'main:app'`. Not to be found: `ERR_PYTHON_TARGET`. */
  appTarget?: PythonHandlerTarget | undefined

  /**
   * The interpreter: an executable, a venv's folder, or the name of a command on PATH.
   *
   * Default: the first of `VIRTUAL_ENV`, `CONDA_PREFIX`, `.venv` in the docroot or its parent, `python3` and
   * `python` on PATH. One process runs one interpreter; another one: `ERR_PYTHON_INTERPRETER_CONFLICT`.
   */
  python?: string | undefined

  /**
   * What the application is: ASGI 3, ASGI 2 (a callable that takes the scope and gives a callable), or WSGI,
   * which needs the Python package `a2wsgi` (`ERR_PYTHON_WSGI` without). `'auto'` tells the two ASGI apart.
   *
   * Default: `'auto'`.
   */
  interface?: 'auto' | 'asgi3' | 'asgi2' | 'wsgi' | undefined

  /** Whether `appTarget` is called, without arguments, to give the application. Default: false. */
  factory?: boolean | undefined

  /**
   * Whether the application has a lifespan (ASGI, "Lifespan Protocol"); requests wait for its startup, and fail with
   * `ERR_PYTHON_STARTUP` if it fails. `'auto'`: an application that knows no lifespan (it raises at the scope, returns, or
   * sends a response) goes on without; `'on'`: that is `ERR_PYTHON_STARTUP` as well; `'off'`: it is not asked.
   *
   * Default: `'auto'`.
   */
  lifespan?: 'auto' | 'on' | 'off' | undefined

  /**
   * JSON values that `scope["state"]` of every request gets, before its own `state`. What JSON cannot say (a
   * cycle, a function, a symbol, a bigint, NaN, a Map, an Error) is `ERR_PYTHON_INVALID_ARGUMENT`. Default: none.
   */
  state?: Record<string, unknown> | undefined

  /**
   * JSON values that `scope["extensions"]` of every request gets, each request a copy of its own, before the request's own
   * `extensions`. As for `state`, what JSON cannot say is `ERR_PYTHON_INVALID_ARGUMENT`. Default: none.
   */
  extensions?: Record<string, unknown> | undefined

  /**
   * The prefix under which the application is mounted: `scope["root_path"]` (ASGI, "HTTP Connection Scope").
   * `scope["path"]` includes it; to a url without it, it is added. `''`, or begins with a slash.
   *
   * Default: `''`.
   */
  rootPath?: string | undefined

  /**
   * The event loop; `'auto'` is uvloop where it can be imported. All handlers of a process share one: to ask
   * for another, or for uvloop where it is not installed, is `ERR_PYTHON_EVENT_LOOP`.
   *
   * Default: `'auto'`.
   */
  loop?: 'auto' | 'asyncio' | 'uvloop' | undefined

  /**
   * Milliseconds until the head of the response (`handleStream`) or its end (`handleRequest`,
   * `handleRequestSync`); then `ERR_PYTHON_RESPONSE_TIMEOUT`, and the application's task is cancelled.
   *
   * 0 to 2147483647; 0 and `Infinity`: no limit. Default: 30000.
   */
  responseTimeout?: number | undefined

  /**
   * Milliseconds in which a stream has to give or take a part; then `ERR_PYTHON_IDLE_TIMEOUT`, and the application's
   * task is cancelled.
   *
   * 0 to 2147483647; 0 and `Infinity`: no limit. Default: 0.
   */
  idleTimeout?: number | undefined

  /**
   * Milliseconds between a disconnect and the cancellation of the application's task.
   *
   * 0 to 2147483647; 0: at once. Default: 1000.
   */
  disconnectGrace?: number | undefined

  /**
   * Milliseconds that the Python thread may answer nobody, with requests in flight, until the process emits a
   * warning with code `PYTHON_STUCK` and Python's stack. 0 to 2147483647; 0 and `Infinity`: never. Default: 5000.
   */
  stuckThreshold?: number | undefined

  /** Requests that the application works on at a time, 1 or more, or `Infinity`; more wait. Default: 10000. */
  maxInFlight?: number | undefined

  /** Requests that may wait, or `Infinity`; to one more, `ERR_PYTHON_OVERLOADED`. Default: 10000. */
  maxQueued?: number | undefined

  /**
   * Bytes of a body that may wait on either side of the bridge: above it `write()` and the application's
   * `await send()` wait, below half of it they go on. Default: 524288 (512 KiB).
   */
  highWaterMark?: number | undefined

  /**
   * Bytes of a buffered response (`handleRequest`, `handleRequestSync`), or `Infinity`; of a longer one,
   * `ERR_PYTHON_RESPONSE_TOO_LARGE`. Streams have no limit. Default: 1 GiB.
   */
  maxResponseSize?: number | undefined

  /** Bytes of a request's body, or `Infinity`; of a longer one, `ERR_PYTHON_BODY_TOO_LARGE`. Default: 1 GiB. */
  maxBodySize?: number | undefined

  /** Header fields given with a request, or `Infinity`; of more, `ERR_PYTHON_HEADERS_TOO_LARGE`. Default: 1000. */
  maxHeaders?: number | undefined

  /** Bytes of a request's url and of its headers' names and values, or `Infinity`; as `maxHeaders`. Default: 65536. */
  maxHeaderSize?: number | undefined

  /**
   * Bytes of a message sent on a WebSocket, or `Infinity`; a longer one closes it with code 1009 and
   * `ERR_PYTHON_MESSAGE_TOO_LARGE`. Default: 16 MiB.
   */
  maxMessageSize?: number | undefined

  /**
   * Milliseconds that the end of the process waits for Python: running tasks are cancelled, lifespans end (within three
   * quarters of it), threads and pools are told to, and `atexit` functions run. Holds for the process; the handler made last sets it.
   *
   * 0 to 2147483647. Default: 2000.
   */
  shutdownTimeout?: number | undefined

  /**
   * Whether Python's libraries prefer their own OpenSSL and zlib to those that Node exports (RTLD_DEEPBIND);
   * glibc only. Holds for the process; the first handler sets it. `false` is for interposed allocators.
   *
   * Default: true.
   */
  deepbind?: boolean | undefined
}

/** What `stats()` gives. Requests of `handleRequestSync` are not counted. */
export interface HandlerStats {
  /** Requests that the application works on. */
  inFlight: number
  /** Requests that wait for `maxInFlight`. */
  queued: number
  /** Responses whose bodies are not read to their end. */
  openStreams: number
  /** WebSockets that are not closed. */
  openSockets: number
  /** Requests that ended well. */
  completed: number
  /** Requests that ended with an error. */
  failed: number
  /** Requests that the caller gave up. */
  aborted: number
  /** Requests that ended by `responseTimeout` or `idleTimeout`. */
  timedOut: number
  /** Requests refused by `maxQueued`. */
  rejected: number
  /** Bytes of request bodies and WebSocket messages given to the application. */
  bytesSent: number
  /** Bytes of response bodies and WebSocket messages taken from it. */
  bytesReceived: number
  /** Milliseconds that the Python thread has let its queue wait now; of the process, not of the handler. */
  loopLag: number
  /** Milliseconds that all requests together have waited for the Python thread; of the process. */
  waitingForPython: number
}

/** The name of `PythonHandlerOptions` in version 2. */
export type PythonOptions = PythonHandlerOptions

/**
 * `'module:attribute'`, both dotted if need be, or the same as an object; `file` is the module's name, or its
 * file (`'app/main.py'`).
 */
export type PythonHandlerTarget = string | { file: string, function: string }

/** What `handleRequest` and `handleStream` take beside the request. */
export interface HandleOptions {
  /** Its abort ends the request. */
  signal?: AbortSignal | null | undefined
  /** Called with the bytes of the request's body that were sent, at most once in a turn of the event loop. */
  onUploadProgress?: ((progress: Progress) => void) | undefined
  /** Called with the bytes of the response's body that were read, at most once in a turn of the event loop. */
  onDownloadProgress?: ((progress: Progress) => void) | undefined
  /** Announces `http.response.early_hint` to the application; called with the values of its `link` headers. */
  onEarlyHints?: ((hints: { link: string[] }) => void) | undefined
  /** Announces `http.response.push` to the application; called with what it would push. */
  onPush?: ((push: { path: string, headers: Headers }) => void) | undefined
  /** Announces `http.response.debug` to the application; called with its `info`. */
  onDebug?: ((info: unknown) => void) | undefined
  /** Whether `http.response.trailers` is announced to the application. Default: true. */
  trailers?: boolean | undefined
  /** Whether `http.response.pathsend` is announced to the application, by `handleStream`. Default: true. */
  pathSend?: boolean | undefined
  /**
   * Whether a stream that is the request's body is read only when the application first receives, and not if it never does.
   * Default: false, it is read ahead up to `highWaterMark`.
   */
  bodyOnDemand?: boolean | undefined
}

/** How much of a body has passed. */
export interface Progress {
  /** Bytes so far. */
  loaded: number
  /** All bytes; null where that is not known. */
  total: number | null
}

/** What `connect` takes beside the target. */
export interface ConnectOptions {
  /** Its abort ends the connection. */
  signal?: AbortSignal | undefined
  /** The subprotocols offered, in the order of preference: HTTP tokens, none twice. Default: none. */
  protocols?: string | readonly string[] | undefined
  /** The headers of a target that is a url; with any other, `ERR_PYTHON_INVALID_ARGUMENT`. Default: none. */
  headers?: HeadersInit | undefined
}

/** What `handler.fetch` takes: that of the global `fetch`, and these fields of `RequestOptions`. */
export interface FetchOptions extends globalThis.RequestInit, Pick<RequestOptions, 'state' | 'extensions' | 'socket'> {}

/** What `handler.fetch` gives: a global `Response`. */
export interface FetchResponse extends globalThis.Response {
  /** The `info` of the application's `http.response.debug`, if it sent one. */
  readonly debug?: unknown
}

/** What `close` takes. */
export interface CloseOptions {
  /** Milliseconds that requests in flight and the shutdown may take together. Default: 10000. */
  timeout?: number | undefined
}

// ------------------------------------------------------------------------------------- the request

/**
 * A request to an application.
 *
 * @example
 * ```js
 * const request = new Request({
 *   method: 'PUT',
 *   url: 'https://example.com/items/7?q=tea',
 *   headers: { 'content-type': 'application/json' },
 *   body: '{"price": 3.5}'
 * })
 * console.log(request.method, request.path) // PUT /items/7
 * ```
 */
export declare class Request {
  /**
   * @throws {PythonHandlerError} `ERR_PYTHON_INVALID_ARGUMENT`, `ERR_PYTHON_INVALID_METHOD`,
   *   `ERR_PYTHON_INVALID_URL`, `ERR_PYTHON_INVALID_HEADER`
   */
  constructor (options: RequestOptions)

  /** Any HTTP token; applications see it in upper case. Setting another: `ERR_PYTHON_INVALID_METHOD`. */
  get method (): string
  set method (method: string)

  /**
   * The url as it was given; one that is only a path gets `https://` and the Host header's value in front,
   * where there is that header. Setting a malformed one: `ERR_PYTHON_INVALID_URL`.
   *
   * @example
   * ```js
   * const request = new Request({ url: '/items?q=tea', headers: { host: 'example.com' } })
   * console.log(request.url) // https://example.com/items?q=tea
   * ```
   */
  get url (): string
  set url (url: string | URL)

  /** The path of the url, percent-encoded, without query. */
  get path (): string

  /** The headers. Setting them takes whatever `new Headers()` takes; a `Headers` is kept, not copied. */
  get headers (): Headers
  set headers (headers: HeadersInit | null | undefined)

  /** The docroot of this request; null: the handler's. */
  get docroot (): string | null
  set docroot (docroot: string)

  /** The body: bytes as a Buffer, a stream as it was given, null where there is none. */
  get body (): Buffer | BodyStream | null
  set body (body: BodyInit | null | undefined)

  /**
   * Sends a part of the body, or a message of a WebSocket (a string as text, else binary); resolves when the application has room for more (fewer than half of `highWaterMark` wait).
   *
   * Before the request is given to a handler, parts are kept. After the request is over, they are dropped.
   *
   * @throws {PythonHandlerError} as a rejection: `ERR_PYTHON_BODY` for a request that was made with a body, or
   *   whose body has ended; `ERR_PYTHON_INVALID_ARGUMENT`
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const request = new Request({ method: 'POST', url: '/echo' })
   * await request.write('green ')
   * await request.write(Buffer.from('tea'))
   * await request.end()
   * const response = await handler.handleRequest(request)
   * console.log(response.body.toString()) // green tea
   * ```
   */
  write (chunk: BodyChunk): Promise<void>

  /**
   * Ends the body. Does nothing where it has ended, or where the request was made with one.
   *
   * @param code Of a WebSocket: the close code, 1000 to 1003, 1007 to 1014 or 3000 to 4999. Default: none (1005).
   * @param reason Of a WebSocket: the reason, dropped without a code. Default: `''`.
   */
  end (code?: number, reason?: string): Promise<void>

  /** Method, url, headers, and a body of bytes. */
  toJSON (): { method: string, url: string, headers: HeaderMap, body?: Buffer }
}

/** The fields of a request: for `new Request()`, or in place of one. */
export interface RequestOptions {
  /** Any HTTP token. Default: `'GET'`. */
  method?: string | undefined

  /**
   * A path with or without query, `*`, or an absolute http, https, ws or wss URL.
   *
   * `raw_path` is what is written here; only spaces and characters beyond ASCII are percent-encoded. An
   * absolute one gives `scheme`, and without `socket` also `server`; without a Host header, that too.
   */
  url: string | URL

  /** Default: none. */
  headers?: HeadersInit | null | undefined

  /**
   * Default: none. A stream is for `handleRequest` and `handleStream`, and is theirs: it is destroyed (a web stream cancelled)
   * as soon as nobody wants the rest, because the request was refused, aborted or answered early. The request of a Node
   * server is left to its response. A `content-length` that is not the length of a whole body: `ERR_PYTHON_INVALID_HEADER`.
   */
  body?: BodyInit | null | undefined

  /** The connection that the request came on. Default: none, `scope["client"]` is None. */
  socket?: SocketInfo | null | undefined

  /** `scope["extensions"]["python_node"]["docroot"]`. Default: the handler's docroot. */
  docroot?: string | null | undefined

  /**
   * Whether it opens a WebSocket: `handleStream` resolves with status 101, or with the application's refusal. Of a
   * `Request`, `write()` sends messages and `end()` closes. Default: false.
   */
  websocket?: boolean | undefined

  /** `scope["scheme"]`. Default: that of the url, or `'https'` if `socket.encrypted`, or `'http'`. */
  scheme?: string | undefined

  /** `scope["http_version"]`: `'1.0'`, `'1.1'` or `'2'`. Default: `'1.1'`. */
  httpVersion?: string | undefined

  /** `scope["root_path"]` of this request: empty, or begins with a slash. Default: the handler's `rootPath`. */
  rootPath?: string | undefined

  /**
   * JSON values that `scope["state"]` gets, Starlette's `request.state`. What JSON cannot say is
   * `ERR_PYTHON_INVALID_ARGUMENT`. Default: none.
   */
  state?: Record<string, unknown> | null | undefined

  /** As `state`, for `scope["extensions"]`. Default: none. */
  extensions?: Record<string, unknown> | null | undefined
}

/** The two ends of a connection; a `net.Socket` has these properties. */
export interface SocketInfo {
  /** Host, or path of a unix socket, of `scope["server"]`. */
  localAddress?: string | undefined
  /** Port of `scope["server"]`. */
  localPort?: number | undefined
  /** Not passed on: ASGI has no place for it. */
  localFamily?: string | undefined
  /** Host of `scope["client"]`. */
  remoteAddress?: string | undefined
  /** Port of `scope["client"]`. */
  remotePort?: number | undefined
  /** Not passed on: ASGI has no place for it. */
  remoteFamily?: string | undefined
  /** Whether it is a TLS connection: then `scheme` is `'https'` unless the url says otherwise. */
  encrypted?: boolean | undefined
}

/** A part of a body. A string stands for its UTF-8. */
export type BodyChunk = string | ArrayBufferView | ArrayBuffer

/** A body that is read while it is sent: a Node `Readable`, a web `ReadableStream`, an async iterable. */
export type BodyStream = Readable | AsyncIterable<BodyChunk> | {
  getReader (): {
    read (): Promise<{ done: boolean, value?: BodyChunk | undefined }>
    releaseLock (): void
  }
}

/** What can be the body of a request. */
export type BodyInit = BodyChunk | BodyStream

// ------------------------------------------------------------------------------------ the response

/**
 * The answer of an application.
 *
 * @example
 * ```js
 * const response = new Response({ status: 201, headers: { 'content-type': 'text/plain' }, body: 'made' })
 * console.log(response.status, String(response.body)) // 201 made
 * ```
 */
export declare class Response {
  /** @throws {PythonHandlerError} `ERR_PYTHON_INVALID_ARGUMENT`, `ERR_PYTHON_INVALID_HEADER` */
  constructor (options?: ResponseOptions | null)

  /** An integer from 100 to 999. Setting another: `ERR_PYTHON_INVALID_ARGUMENT`. */
  get status (): number
  set status (status: number)

  /** The headers. Setting them takes whatever `new Headers()` takes; a `Headers` is kept, not copied. */
  get headers (): Headers
  set headers (headers: HeadersInit | null | undefined)

  /** The whole body, or null: it is a stream, or there is none. Setting it takes a Buffer, Uint8Array or string. */
  get body (): Buffer | null
  set body (body: string | ArrayBufferView | null | undefined)

  /** What the response was made with. Always empty for an application's: what that prints goes to stdout and stderr. */
  get log (): Buffer

  /** Whether the whole body is here. False for a stream, also after its end. */
  get complete (): boolean

  /** Header fields that came after the body; null before its end, and where there were none. */
  get trailers (): Headers | null

  /** How the application closed a WebSocket; null where it has not. */
  get closed (): { code: number, reason: string } | null

  /** What broke the body off: Python's traceback, or the message of the error. Null otherwise. */
  get exception (): string | null

  /**
   * Resolves with the next part of the body, or the next message of a WebSocket; null at its end; rejects with what broke it off.
   *
   * A body that is here whole is the only part; it stays in `body` as well.
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const response = await handler.handleStream({ url: '/hello' })
   * console.log(String(await response.next())) // Hello
   * console.log(await response.next()) // null
   * ```
   */
  next (): Promise<Buffer | null>

  /** The body part by part, as `next()`. To leave the loop early is a disconnect to the application. */
  [Symbol.asyncIterator] (): AsyncIterableIterator<Buffer>

  /**
   * The body as a Node stream. To destroy it is a disconnect to the application; to drop it unread as well, once it is collected.
   *
   * @example
   * ```js
   * import { text } from 'node:stream/consumers'
   *
   * const handler = await PythonHandler.load()
   * const response = await handler.handleStream({ url: '/lines' })
   * console.log(await text(response.stream())) // one two three
   * ```
   */
  stream (): Readable

  /** Gives the rest of the body up: a disconnect to the application. */
  cancel (): void

  /** Status, headers, and what there is of body and exception. */
  toJSON (): { status: number, headers: HeaderMap, body?: Buffer, exception?: string }
}

/** A response whose body is here whole. */
export interface BufferedResponse extends Response {
  /** The whole body, of length 0 where there is none. */
  readonly body: Buffer
}

/** The fields of a response. */
export interface ResponseOptions {
  /** An integer from 100 to 999. Default: 200. */
  status?: number | undefined
  /** Default: none. */
  headers?: HeadersInit | null | undefined
  /** Default: none. */
  body?: string | ArrayBufferView | null | undefined
  /** Default: null. */
  exception?: string | null | undefined
  /** Default: empty. */
  log?: string | ArrayBufferView | null | undefined
}

// ----------------------------------------------------------------------------------- the WebSocket

/**
 * A WebSocket to an application in this process, from `handler.connect()`: the surface of the standard's
 * `WebSocket`, and async iteration over its messages. A message goes to whoever iterates, else to the listeners;
 * while there is none of them, messages wait, and may be read after the close. Each event has a turn of its own: code
 * that awaits one can ask for the next.
 */
export interface PythonWebSocket extends EventTarget, AsyncIterable<string | Buffer> {
  readonly CONNECTING: 0
  readonly OPEN: 1
  readonly CLOSING: 2
  readonly CLOSED: 3

  /** One of the four. */
  readonly readyState: number
  /** The url: `ws:` or `wss:`, without a fragment; a path where the target says no host. */
  readonly url: string
  /** The subprotocol that the application chose, `''` where it chose none. */
  readonly protocol: string
  /** `''`: there are no frames to compress. */
  readonly extensions: string
  /** The headers that the application accepted with; null before. */
  readonly headers: Headers | null
  /** Bytes sent since the application's side was full; 0 once it has room again. */
  readonly bufferedAmount: number
  /** What binary messages are to listeners; another value is ignored. Default: `'nodebuffer'`. */
  binaryType: 'nodebuffer' | 'arraybuffer' | 'blob'

  /**
   * Sends a message: a string as text, anything else binary. Those after a `Blob` wait until it is read, and so does
   * `close()`. After `close()` it is dropped. Other primitives are sent as their text.
   *
   * @throws {PythonHandlerError} `ERR_PYTHON_INVALID_ARGUMENT` for another object, or a buffer that is detached
   * @throws {TypeError} for a symbol
   */
  send (message: string | ArrayBufferView | ArrayBufferLike | Blob): void

  /**
   * Closes; the application receives `websocket.disconnect`. Before the accept that is a failure: an `error` event, and
   * 1006 to both sides. Listeners get no message any more.
   *
   * @param code 1000, or 3000 to 4999. Default: none (1005).
   * @param reason At most 123 bytes of UTF-8; dropped without a code. Default: `''`.
   * @throws {DOMException} `InvalidAccessError` for the code, `SyntaxError` for the reason
   * @throws {TypeError} for a code that is no number, such as a BigInt
   */
  close (code?: number, reason?: string): void

  onopen: ((event: Event) => void) | null
  onmessage: ((event: PythonWebSocketEvents['message']) => void) | null
  onerror: ((event: PythonWebSocketEvents['error']) => void) | null
  onclose: ((event: PythonWebSocketEvents['close']) => void) | null

  addEventListener<Type extends keyof PythonWebSocketEvents> (
    type: Type,
    listener: ((event: PythonWebSocketEvents[Type]) => void) | { handleEvent (event: PythonWebSocketEvents[Type]): void },
    options?: boolean | { once?: boolean, signal?: AbortSignal }
  ): void

  removeEventListener<Type extends keyof PythonWebSocketEvents> (
    type: Type,
    listener: ((event: PythonWebSocketEvents[Type]) => void) | { handleEvent (event: PythonWebSocketEvents[Type]): void },
    options?: boolean | { capture?: boolean }
  ): void

  /** The messages, until it is closed; rejects with what broke it off. To leave the loop closes with code 1000. */
  [Symbol.asyncIterator] (): AsyncIterableIterator<string | Buffer>

  /** `'WebSocket'` */
  readonly [Symbol.toStringTag]: string
}

/** The events of a `PythonWebSocket`. */
export interface PythonWebSocketEvents {
  open: Event
  /** A message; binary as `binaryType` says. `origin` is that of the url, `''` for a path. */
  message: Event & { readonly data: string | Buffer | ArrayBuffer | Blob, readonly origin: string }
  /**
   * What went wrong; `close` follows, with code 1006, after the accept also 1011 (the application raised) or 1009
   * (`maxMessageSize`). Of the caller's own `close()` before the accept it is an `AbortError`.
   */
  error: Event & { readonly error: unknown, readonly message: string }
  close: Event & { readonly code: number, readonly reason: string, readonly wasClean: boolean }
}

// ------------------------------------------------------------------------------------- the headers

/**
 * Header fields in their order, repeats kept, names in lower case.
 *
 * Every method that takes a name or a value throws `ERR_PYTHON_INVALID_HEADER` for a name that is no HTTP
 * token, and for a value with a control character other than tab or a character above U+00FF.
 *
 * @example
 * ```js
 * const headers = new Headers({ accept: ['text/html', 'text/plain'] })
 * headers.add('Set-Cookie', 'a=1')
 * console.log(headers.get('Accept')) // text/plain
 * console.log(headers.getLine('accept')) // text/html,text/plain
 * console.log(headers.entries().length, headers.size) // 3 2
 * ```
 */
export declare class Headers {
  /** An object, pairs (an array, a `Map`, the `Headers` of fetch), or another `Headers`, which is copied. */
  constructor (init?: HeadersInit | null)

  /** The last value of the field, null where there is none. */
  get (name: string): string | null
  /** Every value of the field, in order. */
  getAll (name: string): string[]
  /** Every value of the field, joined by commas; null where there is none. */
  getLine (name: string): string | null
  /** Every value of `set-cookie`. */
  getSetCookie (): string[]
  /** Whether there is such a field. */
  has (name: string): boolean

  /** Replaces the field, at its place, by the value or values; returns whether it was there. */
  set (name: string, value: HeaderValue | readonly HeaderValue[]): boolean
  /** Adds the value or values at the end; returns whether there was such a field. */
  add (name: string, value: HeaderValue | readonly HeaderValue[]): boolean
  /** `add` as fetch names it. */
  append (name: string, value: HeaderValue | readonly HeaderValue[]): void
  /** Removes the field; returns whether it was there. */
  delete (name: string): boolean
  /** Removes every field. */
  clear (): void

  /** How many names there are, repeats not counted. */
  get size (): number
  /** The names, each once. */
  keys (): string[]
  /** The values of all fields, in order. */
  values (): string[]
  /** Name and value of all fields, in order. */
  entries (): Array<[name: string, value: string]>
  /** Calls back with value, name and these headers for all fields, in order. */
  forEach (callback: (value: string, name: string, headers: this) => void, thisArg?: unknown): void
  /** That of `entries()`. */
  [Symbol.iterator] (): IterableIterator<[name: string, value: string]>
  /** An object by name; a repeated field is an array. */
  toJSON (): HeaderMap
  /** `'Headers'` */
  get [Symbol.toStringTag] (): string
}

/** A value that a header can be set to; all but strings are converted. */
export type HeaderValue = string | number | bigint | boolean

/** The values of one name: a string, or an array where it is repeated. */
export type HeaderMapValue = string | string[]

/** Headers as an object, as `toJSON()` gives them. */
export type HeaderMap = Record<string, HeaderMapValue>

/** What headers can be made of. A name whose value is undefined is left out. */
export type HeadersInit =
  | Headers
  | { readonly [name: string]: HeaderValue | readonly HeaderValue[] | undefined }
  | Iterable<readonly [name: string, value: HeaderValue | readonly HeaderValue[] | undefined]>

// -------------------------------------------------------------------------------------- the errors

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
 */
export declare class PythonHandlerError extends Error {
  constructor (code: PythonHandlerErrorCode, message: string, options?: { cause?: unknown })

  /** `'PythonHandlerError'` */
  name: string
  /** What happened. */
  code: PythonHandlerErrorCode
  /** Of `ERR_PYTHON_WEBSOCKET_REFUSED`: the status that the application refused with. */
  status?: number
  /**
   * Of `ERR_PYTHON_WEBSOCKET_REFUSED`: the refusal. Its body is for whoever begins to read it when the error is told (in
   * the `error` event, after an `await` of it, in the `catch` of a loop): with the `close` event, an unread one is let go.
   */
  response?: Response
  /** The JavaScript error behind it, where there is one. */
  cause?: unknown
  /**
   * The class of the Python exception, with its module unless that is `builtins`: `ValueError`,
   * `httpx.ReadTimeout`. Of `ERR_PYTHON_EXCEPTION` and `ERR_PYTHON_IMPORT`, as the next two.
   */
  pythonType?: string
  /** `str()` of the Python exception. */
  pythonMessage?: string
  /** What `traceback.format_exception()` prints, chained exceptions included. */
  traceback?: string
}

/** Every `code` of a `PythonHandlerError`. */
export type PythonHandlerErrorCode =
  // The application's.
  /** It raised before its response was complete. */
  | 'ERR_PYTHON_EXCEPTION'
  /** It raised while it was imported. */
  | 'ERR_PYTHON_IMPORT'
  /** Its lifespan startup failed. */
  | 'ERR_PYTHON_STARTUP'
  /** Its lifespan shutdown failed. */
  | 'ERR_PYTHON_SHUTDOWN'
  /** It returned without sending a response. */
  | 'ERR_PYTHON_NO_RESPONSE'
  /** It returned before the last message of its response. */
  | 'ERR_PYTHON_INCOMPLETE_RESPONSE'
  /** No response within `responseTimeout`. */
  | 'ERR_PYTHON_RESPONSE_TIMEOUT'
  /** Its task was cancelled, and not by the caller. */
  | 'ERR_PYTHON_CANCELLED'
  /** It is no ASGI 3.0 application: what calling it gives cannot be awaited. */
  | 'ERR_PYTHON_NOT_AWAITABLE'
  /** `handler.fetch()`: its status is above 599. */
  | 'ERR_PYTHON_INVALID_STATUS'
  /** `fetch`: it redirects, and the request takes no redirect. */
  | 'ERR_PYTHON_REDIRECT'
  /** `handler.connect()`: it refused the WebSocket. */
  | 'ERR_PYTHON_WEBSOCKET_REFUSED'
  /** `./http`: its status or `content-length` cannot be sent. */
  | 'ERR_PYTHON_INVALID_RESPONSE'
  /** `./http`: its body is shorter or longer than its `content-length`. */
  | 'ERR_PYTHON_CONTENT_LENGTH_MISMATCH'
  /** A stream gave and took nothing for `idleTimeout`. */
  | 'ERR_PYTHON_IDLE_TIMEOUT'
  // The caller's.
  /** An option or argument of the wrong kind. */
  | 'ERR_PYTHON_INVALID_ARGUMENT'
  /** `docroot` is no folder. */
  | 'ERR_PYTHON_DOCROOT'
  /** `appTarget` is malformed, or names no application. */
  | 'ERR_PYTHON_TARGET'
  /** The method is no HTTP token. */
  | 'ERR_PYTHON_INVALID_METHOD'
  /** The url is malformed. */
  | 'ERR_PYTHON_INVALID_URL'
  /** The name or value of a header is malformed. */
  | 'ERR_PYTHON_INVALID_HEADER'
  /** A buffered response is above `maxResponseSize`. */
  | 'ERR_PYTHON_RESPONSE_TOO_LARGE'
  /** The request's body is above `maxBodySize`. */
  | 'ERR_PYTHON_BODY_TOO_LARGE'
  /** The request has more headers than `maxHeaders`, or is above `maxHeaderSize`. */
  | 'ERR_PYTHON_HEADERS_TOO_LARGE'
  /** A message of a WebSocket is above `maxMessageSize`. */
  | 'ERR_PYTHON_MESSAGE_TOO_LARGE'
  /** `maxInFlight` requests are in flight, and `maxQueued` wait. */
  | 'ERR_PYTHON_OVERLOADED'
  /** `request.write()` where the body was given, or has ended. */
  | 'ERR_PYTHON_BODY'
  /** `./http`: another middleware has read the request's body. */
  | 'ERR_PYTHON_BODY_CONSUMED'
  /** `loop` is not the event loop that runs, or uvloop is not installed. */
  | 'ERR_PYTHON_EVENT_LOOP'
  /** The process runs another Python already. */
  | 'ERR_PYTHON_INTERPRETER_CONFLICT'
  /** The handler or the process is ending. */
  | 'ERR_PYTHON_CLOSED'
  // The client's, in `./http`.
  /** The framing of the request is ambiguous or malformed. */
  | 'ERR_PYTHON_INVALID_REQUEST'
  /** A transfer coding other than `chunked`. */
  | 'ERR_PYTHON_UNSUPPORTED_CODING'
  /** A request line of another version than HTTP/1. */
  | 'ERR_PYTHON_UNSUPPORTED_PROTOCOL'
  /** The client closed the connection. */
  | 'ERR_PYTHON_CLIENT_DISCONNECTED'
  // The machine's.
  /** There is no interpreter where one was looked for. */
  | 'ERR_PYTHON_INTERPRETER_NOT_FOUND'
  /** The interpreter does not run. */
  | 'ERR_PYTHON_INTERPRETER_FAILED'
  /** The interpreter is older than 3.8, or not CPython. */
  | 'ERR_PYTHON_VERSION_UNSUPPORTED'
  /** The interpreter is a free-threaded build. */
  | 'ERR_PYTHON_FREE_THREADED'
  /** The interpreter has no shared library. */
  | 'ERR_PYTHON_LIBRARY_NOT_FOUND'
  /** The interpreter's shared library cannot be loaded. */
  | 'ERR_PYTHON_LIBRARY_LOAD'
  /** There is no addon for this platform, or one of another version. */
  | 'ERR_PYTHON_ADDON_NOT_FOUND'
  /** The addon cannot be loaded. */
  | 'ERR_PYTHON_ADDON_LOAD'
  /** `attachWebSocket` cannot serve: the package `ws` is not installed. */
  | 'ERR_PYTHON_WS_NOT_FOUND'
  /** A WSGI application cannot be run: `a2wsgi` is not installed. */
  | 'ERR_PYTHON_WSGI'
  /** CPython did not start. */
  | 'ERR_PYTHON_START'
  // Ours.
  /** A defect of this package. */
  | 'ERR_PYTHON_INTERNAL'

// The signatures of index.d.ts. Their docs are at the definitions, in lib/ and src/: scripts/types.js joins them.

/// <reference types="node" />

// The specification that is referred to: ASGI 3.0, https://asgi.readthedocs.io/en/latest/specs/www.html

import type { Readable } from 'node:stream'

// ------------------------------------------------------------------------------------- the handler

export declare class PythonHandler {
  constructor (options?: PythonHandlerOptions | null)

  static load (options?: PythonHandlerOptions | null): Promise<PythonHandler>

  get docroot (): string

  handleRequest (request: Request | RequestOptions, options?: HandleOptions | AbortSignal | null): Promise<BufferedResponse>

  handleStream (request: Request | RequestOptions, options?: HandleOptions | AbortSignal | null): Promise<Response>

  handleRequestSync (request: Request | RequestOptions): BufferedResponse

  connect (
    target: string | URL | Request | RequestOptions,
    options?: ConnectOptions | string | readonly string[] | null
  ): PythonWebSocket

  fetch (input: string | URL | globalThis.Request, init?: FetchOptions): Promise<FetchResponse>

  ready (): Promise<void>

  close (options?: CloseOptions): Promise<void>

  stats (): HandlerStats

  [Symbol.asyncDispose] (): Promise<void>
}

export {
  PythonHandler as Python
}

export interface PythonHandlerOptions {
  docroot?: string | undefined

  appTarget?: PythonHandlerTarget | undefined

  python?: string | undefined

  interface?: 'auto' | 'asgi3' | 'asgi2' | 'wsgi' | undefined

  factory?: boolean | undefined

  lifespan?: 'auto' | 'on' | 'off' | undefined

  state?: Record<string, unknown> | undefined

  extensions?: Record<string, unknown> | undefined

  rootPath?: string | undefined

  loop?: 'auto' | 'asyncio' | 'uvloop' | undefined

  responseTimeout?: number | undefined

  idleTimeout?: number | undefined

  disconnectGrace?: number | undefined

  stuckThreshold?: number | undefined

  maxInFlight?: number | undefined

  maxQueued?: number | undefined

  highWaterMark?: number | undefined

  maxResponseSize?: number | undefined

  maxBodySize?: number | undefined

  maxHeaders?: number | undefined

  maxHeaderSize?: number | undefined

  maxMessageSize?: number | undefined

  shutdownTimeout?: number | undefined

  deepbind?: boolean | undefined
}

export interface HandlerStats {
  inFlight: number
  queued: number
  openStreams: number
  openSockets: number
  completed: number
  failed: number
  aborted: number
  timedOut: number
  rejected: number
  bytesSent: number
  bytesReceived: number
  loopLag: number
  waitingForPython: number
}

export type PythonOptions = PythonHandlerOptions

export type PythonHandlerTarget = string | { file: string, function: string }

export interface HandleOptions {
  signal?: AbortSignal | null | undefined
  onUploadProgress?: ((progress: Progress) => void) | undefined
  onDownloadProgress?: ((progress: Progress) => void) | undefined
  onEarlyHints?: ((hints: { link: string[] }) => void) | undefined
  onPush?: ((push: { path: string, headers: Headers }) => void) | undefined
  onDebug?: ((info: unknown) => void) | undefined
  trailers?: boolean | undefined
  pathSend?: boolean | undefined
  bodyOnDemand?: boolean | undefined
}

export interface Progress {
  loaded: number
  total: number | null
}

export interface ConnectOptions {
  signal?: AbortSignal | undefined
  protocols?: string | readonly string[] | undefined
  headers?: HeadersInit | undefined
}

export interface FetchOptions extends globalThis.RequestInit, Pick<RequestOptions, 'state' | 'extensions' | 'socket'> {}

export interface FetchResponse extends globalThis.Response {
  readonly debug?: unknown
}

export interface CloseOptions {
  timeout?: number | undefined
}

// ------------------------------------------------------------------------------------- the request

export declare class Request {
  constructor (options: RequestOptions)

  get method (): string
  set method (method: string)

  get url (): string
  set url (url: string | URL)

  get path (): string

  get headers (): Headers
  set headers (headers: HeadersInit | null | undefined)

  get docroot (): string | null
  set docroot (docroot: string)

  get body (): Buffer | BodyStream | null
  set body (body: BodyInit | null | undefined)

  write (chunk: BodyChunk): Promise<void>

  end (code?: number, reason?: string): Promise<void>

  toJSON (): { method: string, url: string, headers: HeaderMap, body?: Buffer }
}

export interface RequestOptions {
  method?: string | undefined

  url: string | URL

  headers?: HeadersInit | null | undefined

  body?: BodyInit | null | undefined

  socket?: SocketInfo | null | undefined

  docroot?: string | null | undefined

  websocket?: boolean | undefined

  scheme?: string | undefined

  httpVersion?: string | undefined

  rootPath?: string | undefined

  state?: Record<string, unknown> | null | undefined

  extensions?: Record<string, unknown> | null | undefined
}

export interface SocketInfo {
  localAddress?: string | undefined
  localPort?: number | undefined
  localFamily?: string | undefined
  remoteAddress?: string | undefined
  remotePort?: number | undefined
  remoteFamily?: string | undefined
  encrypted?: boolean | undefined
}

export type BodyChunk = string | ArrayBufferView | ArrayBuffer

export type BodyStream = Readable | AsyncIterable<BodyChunk> | {
  getReader (): {
    read (): Promise<{ done: boolean, value?: BodyChunk | undefined }>
    releaseLock (): void
  }
}

export type BodyInit = BodyChunk | BodyStream

// ------------------------------------------------------------------------------------ the response

export declare class Response {
  constructor (options?: ResponseOptions | null)

  get status (): number
  set status (status: number)

  get headers (): Headers
  set headers (headers: HeadersInit | null | undefined)

  get body (): Buffer | null
  set body (body: string | ArrayBufferView | null | undefined)

  get log (): Buffer

  get complete (): boolean

  get trailers (): Headers | null

  get closed (): { code: number, reason: string } | null

  get exception (): string | null

  next (): Promise<Buffer | null>

  [Symbol.asyncIterator] (): AsyncIterableIterator<Buffer>

  stream (): Readable

  cancel (): void

  toJSON (): { status: number, headers: HeaderMap, body?: Buffer, exception?: string }
}

export interface BufferedResponse extends Response {
  readonly body: Buffer
}

export interface ResponseOptions {
  status?: number | undefined
  headers?: HeadersInit | null | undefined
  body?: string | ArrayBufferView | null | undefined
  exception?: string | null | undefined
  log?: string | ArrayBufferView | null | undefined
}

// ----------------------------------------------------------------------------------- the WebSocket

export interface PythonWebSocket extends EventTarget, AsyncIterable<string | Buffer> {
  readonly CONNECTING: 0 // undocumented
  readonly OPEN: 1 // undocumented
  readonly CLOSING: 2 // undocumented
  readonly CLOSED: 3 // undocumented

  readonly readyState: number
  readonly url: string
  readonly protocol: string
  readonly extensions: string
  readonly headers: Headers | null
  readonly bufferedAmount: number
  binaryType: 'nodebuffer' | 'arraybuffer' | 'blob'

  send (message: string | ArrayBufferView | ArrayBufferLike | Blob): void

  close (code?: number, reason?: string): void

  onopen: ((event: Event) => void) | null // undocumented
  onmessage: ((event: PythonWebSocketEvents['message']) => void) | null // undocumented
  onerror: ((event: PythonWebSocketEvents['error']) => void) | null // undocumented
  onclose: ((event: PythonWebSocketEvents['close']) => void) | null // undocumented

  addEventListener<Type extends keyof PythonWebSocketEvents> ( // undocumented
    type: Type,
    listener: ((event: PythonWebSocketEvents[Type]) => void) | { handleEvent (event: PythonWebSocketEvents[Type]): void },
    options?: boolean | { once?: boolean, signal?: AbortSignal }
  ): void

  removeEventListener<Type extends keyof PythonWebSocketEvents> ( // undocumented
    type: Type,
    listener: ((event: PythonWebSocketEvents[Type]) => void) | { handleEvent (event: PythonWebSocketEvents[Type]): void },
    options?: boolean | { capture?: boolean }
  ): void

  [Symbol.asyncIterator] (): AsyncIterableIterator<string | Buffer>

  readonly [Symbol.toStringTag]: string
}

export interface PythonWebSocketEvents {
  open: Event // undocumented
  message: Event & { readonly data: string | Buffer | ArrayBuffer | Blob, readonly origin: string }
  error: Event & { readonly error: unknown, readonly message: string }
  close: Event & { readonly code: number, readonly reason: string, readonly wasClean: boolean } // undocumented
}

// ------------------------------------------------------------------------------------- the headers

export declare class Headers {
  constructor (init?: HeadersInit | null)

  get (name: string): string | null
  getAll (name: string): string[]
  getLine (name: string): string | null
  getSetCookie (): string[]
  has (name: string): boolean

  set (name: string, value: HeaderValue | readonly HeaderValue[]): boolean
  add (name: string, value: HeaderValue | readonly HeaderValue[]): boolean
  append (name: string, value: HeaderValue | readonly HeaderValue[]): void
  delete (name: string): boolean
  clear (): void

  get size (): number
  keys (): string[]
  values (): string[]
  entries (): Array<[name: string, value: string]>
  forEach (callback: (value: string, name: string, headers: this) => void, thisArg?: unknown): void
  [Symbol.iterator] (): IterableIterator<[name: string, value: string]>
  toJSON (): HeaderMap
  get [Symbol.toStringTag] (): string
}

export type HeaderValue = string | number | bigint | boolean

export type HeaderMapValue = string | string[]

export type HeaderMap = Record<string, HeaderMapValue>

export type HeadersInit =
  | Headers
  | globalThis.Headers
  | { readonly [name: string]: HeaderValue | readonly HeaderValue[] | undefined }
  | Iterable<readonly [name: string, value: HeaderValue | readonly HeaderValue[] | undefined]>

// -------------------------------------------------------------------------------------- the errors

export declare class PythonHandlerError extends Error {
  constructor (code: PythonHandlerErrorCode, message: string, options?: { cause?: unknown }) // undocumented

  name: string
  code: PythonHandlerErrorCode
  status?: number
  response?: Response
  cause?: unknown
  pythonType?: string
  pythonMessage?: string
  traceback?: string
}

export type PythonHandlerErrorCode =
  // The application's.
  | 'ERR_PYTHON_EXCEPTION'
  | 'ERR_PYTHON_IMPORT'
  | 'ERR_PYTHON_STARTUP'
  | 'ERR_PYTHON_SHUTDOWN'
  | 'ERR_PYTHON_NO_RESPONSE'
  | 'ERR_PYTHON_INCOMPLETE_RESPONSE'
  | 'ERR_PYTHON_RESPONSE_TIMEOUT'
  | 'ERR_PYTHON_RESPONSE_TOO_LARGE'
  | 'ERR_PYTHON_CANCELLED'
  | 'ERR_PYTHON_NOT_AWAITABLE'
  | 'ERR_PYTHON_INVALID_STATUS'
  | 'ERR_PYTHON_REDIRECT'
  | 'ERR_PYTHON_WEBSOCKET_REFUSED'
  | 'ERR_PYTHON_INVALID_RESPONSE'
  | 'ERR_PYTHON_CONTENT_LENGTH_MISMATCH'
  | 'ERR_PYTHON_IDLE_TIMEOUT'
  // The caller's.
  | 'ERR_PYTHON_INVALID_ARGUMENT'
  | 'ERR_PYTHON_DOCROOT'
  | 'ERR_PYTHON_TARGET'
  | 'ERR_PYTHON_INVALID_METHOD'
  | 'ERR_PYTHON_INVALID_URL'
  | 'ERR_PYTHON_INVALID_HEADER'
  | 'ERR_PYTHON_BODY_TOO_LARGE'
  | 'ERR_PYTHON_HEADERS_TOO_LARGE'
  | 'ERR_PYTHON_MESSAGE_TOO_LARGE'
  | 'ERR_PYTHON_OVERLOADED'
  | 'ERR_PYTHON_BODY'
  | 'ERR_PYTHON_BODY_CONSUMED'
  | 'ERR_PYTHON_EVENT_LOOP'
  | 'ERR_PYTHON_INTERPRETER_CONFLICT'
  | 'ERR_PYTHON_CLOSED'
  // The client's, in `./http`.
  | 'ERR_PYTHON_INVALID_REQUEST'
  | 'ERR_PYTHON_UNSUPPORTED_CODING'
  | 'ERR_PYTHON_UNSUPPORTED_PROTOCOL'
  | 'ERR_PYTHON_CLIENT_DISCONNECTED'
  // The machine's.
  | 'ERR_PYTHON_INTERPRETER_NOT_FOUND'
  | 'ERR_PYTHON_INTERPRETER_FAILED'
  | 'ERR_PYTHON_VERSION_UNSUPPORTED'
  | 'ERR_PYTHON_FREE_THREADED'
  | 'ERR_PYTHON_LIBRARY_NOT_FOUND'
  | 'ERR_PYTHON_LIBRARY_LOAD'
  | 'ERR_PYTHON_ADDON_NOT_FOUND'
  | 'ERR_PYTHON_ADDON_LOAD'
  | 'ERR_PYTHON_WS_NOT_FOUND'
  | 'ERR_PYTHON_WSGI'
  | 'ERR_PYTHON_START'
  // Ours.
  | 'ERR_PYTHON_INTERNAL'

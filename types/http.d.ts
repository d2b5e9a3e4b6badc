// The signatures of http.d.ts. Their docs are at the definitions, in lib/http/: scripts/types.js joins them.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2Server, Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Server as SecureServer } from 'node:https'
import type { PythonHandler } from './index.js'

export interface RequestListener {
  (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void): void
  (req: Http2ServerRequest, res: Http2ServerResponse): void
}

export interface FailureContext {
  status: number
  next?: (error?: unknown) => void
}

export interface RequestListenerOptions {
  onError?: (
    error: Error & { code?: string, traceback?: string },
    req: IncomingMessage | Http2ServerRequest,
    res: ServerResponse | Http2ServerResponse,
    context: FailureContext
  ) => boolean | void

  exposeErrors?: boolean

  pathSend?: boolean
}

export function createRequestListener (handler: PythonHandler, options?: RequestListenerOptions): RequestListener

export interface WebSocketOptions {
  path?: string

  maxPayload?: number

  perMessageDeflate?: boolean | Record<string, unknown>

  pingInterval?: number

  onError?: (
    error: Error & { code?: string, traceback?: string },
    req: IncomingMessage,
    res: ServerResponse | null,
    context: FailureContext
  ) => boolean | void

  exposeErrors?: boolean

  [option: string]: unknown
}

export interface WebSocketAttachment {
  close (): void
}

export function attachWebSocket (
  server: Server | SecureServer | Http2SecureServer,
  handler: PythonHandler,
  options?: WebSocketOptions
): WebSocketAttachment

export interface StopOptions {
  timeout?: number
}

export function stopGracefully (
  server: Server | SecureServer | Http2Server | Http2SecureServer,
  handler: PythonHandler,
  options?: StopOptions
): Promise<void>

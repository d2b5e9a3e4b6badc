// Checked by tsc in `npm run lint`, never run: the API as a TypeScript user writes it. The package is
// imported by its name, so that the `exports` of package.json are checked as well.

import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { Headers, Python, PythonHandler, PythonHandlerError, Request, Response } from '@platformatic/python-node'
import type {
  BodyChunk, BodyInit, BodyStream, BufferedResponse, HandleOptions, HeadersInit, HeaderMap, PythonHandlerErrorCode,
  PythonHandlerOptions, PythonHandlerTarget, PythonWebSocket, RequestOptions, ResponseOptions, SocketInfo
} from '@platformatic/python-node'
import { createRequestListener } from '@platformatic/python-node/http'

function expectType<T> (_value: T): void {}

/** Fails unless both types are the same, not only assignable. */
function expectSame<A, B> (_same: (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false): void {}

export async function handlers (): Promise<void> {
  const handler = await PythonHandler.load({ docroot: '.', appTarget: 'main:app' })
  expectType<PythonHandler>(handler)
  expectType<string>(handler.docroot)
  expectType<PythonHandler>(new Python())
  expectType<PythonHandler>(new PythonHandler({
    appTarget: { file: 'main', function: 'app' },
    python: '.venv',
    rootPath: '/api',
    loop: 'asyncio',
    responseTimeout: 1000,
    disconnectGrace: 100,
    shutdownTimeout: 500,
    deepbind: false
  }))
  const options: PythonHandlerOptions = { docroot: undefined, appTarget: undefined }
  expectType<PythonHandlerTarget | undefined>(options.appTarget)
  // @ts-expect-error: milliseconds are a number
  new PythonHandler({ responseTimeout: '1s' })
  // @ts-expect-error: no such option
  new PythonHandler({ argv: [] })
  // @ts-expect-error: cannot be set
  handler.docroot = '/'
  // @ts-expect-error: no such loop
  new PythonHandler({ loop: 'trio' })
  createServer(createRequestListener(handler))
}

export async function requests (handler: PythonHandler): Promise<void> {
  const { signal } = new AbortController()
  const request = new Request({
    method: 'POST',
    url: 'http://localhost/items',
    headers: { accept: ['text/plain', '*/*'] },
    socket: {
      localAddress: '127.0.0.1',
      localPort: 80,
      localFamily: 'IPv4',
      remoteAddress: '127.0.0.1',
      remotePort: 50000,
      remoteFamily: 'IPv4'
    }
  })
  const written: Promise<unknown> = request.write('chunk')
  await written
  await request.end()
  expectType<string>(request.method)
  expectType<string>(request.url)
  expectType<string>(request.path)
  expectType<Headers>(request.headers)

  expectType<Response>(await handler.handleRequest(request))
  expectSame<Awaited<ReturnType<PythonHandler['handleRequest']>>, BufferedResponse>(true)
  expectSame<ReturnType<PythonHandler['handleRequestSync']>, BufferedResponse>(true)
  expectSame<Awaited<ReturnType<PythonHandler['handleStream']>>, Response>(true)
  await handler.handleRequest(request, signal)
  await handler.handleRequest(request, null)
  const either: HandleOptions | AbortSignal = Math.random() < 0.5 ? signal : { signal }
  await handler.handleStream(request, either)
  // @ts-expect-error: a signal is an AbortSignal
  await handler.handleRequest(request, { signal: true })
  // @ts-expect-error: a request has a url
  await handler.handleRequest({ method: 'GET' })
  // @ts-expect-error: nor has a Request none
  new Request({ method: 'GET' })
  await handler.handleRequest({ url: '/', body: Readable.from(['a']) }, { signal })
  await handler.handleRequest({ url: '/', body: new Uint8Array(1) })
  expectType<Response>(handler.handleRequestSync({ url: '/', body: Buffer.from('a') }))
  // @ts-expect-error: a body is bytes or text
  await handler.handleRequest({ url: '/', body: 1 })

  const response = await handler.handleStream({ url: '/' }, { signal })
  for await (const chunk of response) expectType<Buffer>(chunk)
  expectType<Buffer | null>(await response.next())
  expectType<Readable>(response.stream())
}

export async function bodies (handler: PythonHandler, request: Request): Promise<void> {
  async function * parts (): AsyncGenerator<BodyChunk> { yield 'a' }
  const all: BodyInit[] = [
    'a', Buffer.from('a'), new Uint8Array(1), new DataView(new ArrayBuffer(1)), new ArrayBuffer(1), Readable.from(['a']),
    new ReadableStream<Uint8Array>(), parts()
  ]
  for (const body of all) await handler.handleRequest({ url: '/', body })
  createServer((incoming) => handler.handleStream({ url: '/', body: incoming, headers: incoming.headers, socket: incoming.socket }))
  const fetched = new globalThis.Response('a').body
  await handler.handleStream({ url: '/', body: fetched })
  request.body = 'a'
  request.body = null
  expectSame<Request['body'], Buffer | BodyStream | null>(true)
  // @ts-expect-error: an object is no body
  request.body = {}
  await request.write(new Uint8Array(1))
  // @ts-expect-error: a stream is no chunk
  await request.write(Readable.from(['a']))
  request.url = new URL('http://localhost/')
  request.headers = { accept: undefined }
  // @ts-expect-error: follows from the url
  request.path = '/'
  expectType<HeaderMap>(request.toJSON().headers)
}

export async function calls (handler: PythonHandler): Promise<void> {
  await handler.handleStream({ url: '/' }, {
    onUploadProgress: ({ loaded, total }) => expectType<[number, number | null]>([loaded, total]),
    onDownloadProgress () {},
    onEarlyHints: ({ link }) => expectType<string[]>(link),
    onPush: ({ path, headers }) => expectType<[string, Headers]>([path, headers]),
    onDebug: (info) => expectType<unknown>(info),
    trailers: false
  })
  // @ts-expect-error: a callback is a function
  await handler.handleRequest({ url: '/' }, { onPush: true })
  expectType<void>(await handler.ready())
  expectType<number>(handler.stats().loopLag)
  expectType<void>(await handler.close({ timeout: 1000 }))
  {
    await using own = await PythonHandler.load()
    expectType<string>(own.docroot)
  }
  const fetched = await handler.fetch('/', { method: 'POST', body: 'a', state: { a: 1 }, signal: AbortSignal.timeout(1) })
  expectType<globalThis.Response>(fetched)
  expectType<unknown>(fetched.debug)
  await handler.fetch(new globalThis.Request('http://localhost/'))
  // @ts-expect-error: the Request of this package is none of fetch's
  await handler.fetch(new Request({ url: '/' }))
}

export async function sockets (handler: PythonHandler): Promise<void> {
  const { signal } = new AbortController()
  const socket = handler.connect('/socket', { protocols: ['a', 'b'], headers: { cookie: 'a=1' }, signal })
  expectType<PythonWebSocket>(socket)
  expectType<PythonWebSocket>(handler.connect(new Request({ url: '/', websocket: true })))
  expectType<PythonWebSocket>(handler.connect({ url: new URL('ws://localhost/') }))
  expectType<PythonWebSocket>(handler.connect('/socket', 'chat'))
  expectType<PythonWebSocket>(handler.connect('/socket', ['a', 'b'] as const))
  socket.binaryType = 'arraybuffer'
  socket.send('a')
  socket.send(new Uint8Array(1))
  socket.send(new Blob(['a']))
  // @ts-expect-error: a message is text or bytes
  socket.send(1)
  socket.onmessage = ({ data }) => expectType<string | Buffer | ArrayBuffer | Blob>(data)
  socket.addEventListener('close', ({ code, reason, wasClean }) => expectType<[number, string, boolean]>([code, reason, wasClean]), { once: true })
  socket.addEventListener('error', ({ error }) => expectType<unknown>(error))
  for await (const message of socket) expectType<string | Buffer>(message)
  if (socket.readyState === socket.OPEN) socket.close(1000, 'done')
  const request = new Request({ url: '/socket', websocket: true })
  const response = await handler.handleStream(request)
  await request.end(1000, 'done')
  response.cancel()
  expectType<{ code: number, reason: string } | null>(response.closed)
  expectType<Headers | null>(response.trailers)
}

export function options (): void {
  const socket: SocketInfo = { localAddress: '/run/app.sock', encrypted: false }
  const full: RequestOptions = {
    url: new URL('http://localhost/'),
    socket,
    docroot: '/srv',
    scheme: 'https',
    httpVersion: '2',
    rootPath: '/api',
    state: { user: { name: 'Ada' } },
    extensions: { 'tea.kind': 'green' }
  }
  expectType<Request>(new Request(full))
}

export async function responses (response: Response, buffered: BufferedResponse): Promise<void> {
  expectType<number>(response.status)
  expectType<Headers>(response.headers)
  expectSame<Response['body'], Buffer | null>(true)
  expectType<Buffer>(buffered.body)
  expectType<boolean>(response.complete)
  expectType<string | null>(response.exception)
  const init: ResponseOptions = { status: 200, headers: [['a', 'b']], body: 'text' }
  expectType<Response>(new Response(init))
  response.status = 404
  response.headers = [['a', 'b']]
  const { status, headers, body, exception } = response.toJSON()
  expectType<[number, HeaderMap, Buffer | undefined, string | undefined]>([status, headers, body, exception])
}

export function headers (): void {
  const all = new Headers({ accept: 'text/plain' })
  expectType<string | null>(all.get('accept'))
  expectType<string[]>(all.getAll('accept'))
  expectType<string[]>(all.getSetCookie())
  expectType<boolean>(all.has('accept'))
  expectType<number>(all.size)
  for (const [name, value] of all) expectType<string>(name + value)
  all.forEach((value, name) => expectType<string>(name + value))
  expectType<Headers>(new Headers(new Headers([['a', 'b']])))
  expectType<boolean>(all.set('age', 1) && all.add('via', ['a', 'b']) && all.delete('via'))
  expectType<[string[], string[], Array<[string, string]>]>([all.keys(), all.values(), all.entries()])
  expectType<string | string[] | undefined>(all.toJSON()['accept'])
  const inits: HeadersInit[] = [
    { accept: ['a', 'b'], age: 1, via: undefined },
    [['a', 'b'], ['c', ['d', 'e']]] as const,
    new Map([['a', 'b']]),
    new globalThis.Headers()
  ]
  for (const init of inits) new Headers(init)
  // @ts-expect-error: an object is no value
  all.set('accept', {})
  // @ts-expect-error: counted, not set
  all.size = 0
}

export function errors (error: unknown): void {
  if (!(error instanceof PythonHandlerError)) return
  expectSame<typeof error.code, PythonHandlerErrorCode>(true)
  if (error.code === 'ERR_PYTHON_EXCEPTION') expectType<string | undefined>(error.pythonMessage)
  // @ts-expect-error: no such code
  if (error.code === 'ERR_PYTHON_TEA') return
  expectType<Error>(new PythonHandlerError('ERR_PYTHON_CLOSED', 'ended', { cause: error }))
  expectType<string | undefined>(error.traceback)
  expectType<string | undefined>(error.pythonType)
}

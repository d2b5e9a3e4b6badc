// Checked by tsc in `npm run lint`, never run: the API as a TypeScript user writes it. The package is
// imported by its name, so that the `exports` of package.json are checked as well.

import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { Headers, Python, PythonHandler, PythonHandlerError, Request, Response } from '@platformatic/python-node'
import { createRequestListener } from '@platformatic/python-node/http'

function expectType<T> (_value: T): void {}

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
    deepbind: false
  }))
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
  await handler.handleRequest(request, signal)
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

export function responses (response: Response): void {
  expectType<number>(response.status)
  expectType<Headers>(response.headers)
  expectType<Buffer>(response.body)
  expectType<Response>(new Response({ status: 200, headers: [['a', 'b']], body: 'text' }))
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
}

export function errors (error: unknown): void {
  if (!(error instanceof PythonHandlerError)) return
  expectType<string>(error.code)
  expectType<string | undefined>(error.traceback)
  expectType<string | undefined>(error.pythonType)
}

// As api.ts: code of users of the published package's version 2, with its names of types. What it had and this
// one has not is left out: rewriters, conditions.

import { Headers, Python, Request, Response } from '@platformatic/python-node'
import type {
  HeaderMap, HeaderMapValue, PythonHandler, PythonHandlerTarget, PythonOptions, RequestOptions, ResponseOptions, SocketInfo
} from '@platformatic/python-node'

const socket: SocketInfo = {
  localAddress: '127.0.0.1',
  localPort: 80,
  localFamily: 'IPv4',
  remoteAddress: '127.0.0.1',
  remotePort: 50000,
  remoteFamily: 'IPv4'
}
const target: PythonHandlerTarget = 'main:app'
const settings: PythonOptions = { docroot: '.', appTarget: target }
const value: HeaderMapValue = ['text/html', 'text/plain']
const map: HeaderMap = { accept: value }
const asked: RequestOptions = { method: 'POST', url: '/', headers: new Headers(map), body: Buffer.from('a'), socket, docroot: '.' }
const answered: ResponseOptions = { status: 200, headers: map, body: Buffer.from('a'), exception: 'a', log: Buffer.from('a') }

export class Application {
  readonly #python: PythonHandler = new Python(settings)
  readonly #default: PythonHandler = new Python(null)

  async call (signal?: AbortSignal | null): Promise<string> {
    const request = new Request(asked)
    const response = await this.#python.handleRequest(request, signal) as Response
    response.headers.forEach((text: string, name: string, all: Headers) => all.has(name + text))
    for (const [name, text] of response.headers.entries()) request.headers.add(name, text)
    return response.body === null ? '' : response.body.toString('utf8')
  }

  async read (): Promise<number> {
    const response = await this.#default.handleStream(new Request({ url: '/' })) as Response
    let length = 0
    for (let chunk = await response.next(); chunk !== null; chunk = await response.next()) length += chunk.length
    return length + new Response(answered).status
  }
}

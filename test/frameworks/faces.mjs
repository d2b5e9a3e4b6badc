// An application of apps/*.py through each way to call it, and the clients that stand outside this process.
//
// `serve` gives three faces of one handler: `handleRequest`, `fetch`, and a node:http server with the listener of
// http.js, reached through undici. Each test of a framework runs through all of them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { after, describe } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Agent, request as undiciRequest } from 'undici'
import { PythonHandler } from '../../index.js'
import interpreter from '../../lib/interpreter.js'
import { createRequestListener } from '../../http.js'

export const docroot = fileURLToPath(new URL('apps', import.meta.url))

/** Milliseconds a test may take: far more than a correct one needs, on any machine. */
export const timeout = 60_000

/** Milliseconds a client outside may take: shorter, so that what it said is shown. */
const CLIENT_LIMIT = 40_000

const { executable: python, version } = interpreter.findInterpreter({ docroot })

export { python }

/**
 * Why a framework cannot be tested with this Python, or false: the value of a test's `skip`. The same bound is a
 * marker in test/requirements.txt.
 */
export function needsPython (framework, minor) {
  if (version[1] >= minor) return false
  return `not run: ${framework} needs Python 3.${minor}, this is ${version.slice(0, 2).join('.')}`
}

/** What a client sees of a response, the same for every face. */
class Answer {
  constructor (status, pairs, body) {
    this.status = status
    this.pairs = pairs
    this.body = body
  }

  /** All values of a header, joined; null without one. */
  header (name) {
    const values = this.all(name)
    return values.length === 0 ? null : values.join(', ')
  }

  all (name) {
    return this.pairs.filter(([given]) => given === name).map(([, value]) => value)
  }

  get text () {
    return this.body.toString()
  }

  get json () {
    return JSON.parse(this.body)
  }
}

/**
 * A handler and a server for `module:attribute` of apps/; both end with the tests of the file.
 *
 * @returns {Promise<{ handler: PythonHandler, server: http.Server, origin: string, host: string, errors: Error[], faces: object[] }>}
 *   `errors`: what the listener was told
 */
export async function serve (appTarget, options) {
  const handler = await PythonHandler.load({ docroot, appTarget, ...options })
  const errors = []
  const server = http.createServer(createRequestListener(handler, { onError (error) { errors.push(error) } }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${server.address().port}`
  const origin = `http://${host}`
  const agent = new Agent({ keepAliveTimeout: 1000 })
  const close = async () => {
    await agent.destroy()
    server.closeAllConnections()
    server.close()
    await handler.close()
  }
  after(close)
  return { handler, server, origin, host, errors, close, faces: facesOf({ handler, origin, host, agent }) }
}

function facesOf ({ handler, origin, host, agent }) {
  return [
    {
      name: 'handleRequest',
      async request (url, { method, headers, body } = {}) {
        const response = await handler.handleRequest({ method, url, headers: { host, ...headers }, body })
        return new Answer(response.status, [...response.headers.entries()], response.body)
      },
      async open (url, { method, headers, body } = {}) {
        const response = await handler.handleStream({ method, url, headers: { host, ...headers }, body })
        return { status: response.status, body: response.stream() }
      }
    },
    {
      name: 'fetch',
      async request (url, { method, headers, body } = {}) {
        const response = await handler.fetch(origin + url, { method, headers, body })
        return new Answer(response.status, [...response.headers], Buffer.from(await response.arrayBuffer()))
      },
      async open (url, { method, headers, body } = {}) {
        const response = await handler.fetch(origin + url, { method, headers, body })
        return { status: response.status, body: response.body }
      }
    },
    {
      name: 'createRequestListener',
      async request (url, { method = 'GET', headers, body } = {}) {
        const response = await undiciRequest(origin + url, { method, headers, body, dispatcher: agent, responseHeaders: 'raw' })
        return new Answer(response.statusCode, pairsOf(response.headers), Buffer.from(await response.body.arrayBuffer()))
      },
      async open (url, { method = 'GET', headers, body } = {}) {
        const response = await undiciRequest(origin + url, { method, headers, body, dispatcher: agent })
        response.body.on('error', () => {})
        return { status: response.statusCode, body: response.body }
      }
    }
  ]
}

/** The flat list of undici's raw headers as pairs. */
function pairsOf (raw) {
  const pairs = []
  for (let index = 0; index < raw.length; index += 2) pairs.push([String(raw[index]).toLowerCase(), String(raw[index + 1])])
  return pairs
}

/** `write(face)` writes the tests of one face. */
export function throughEach ({ faces }, write) {
  for (const face of faces) describe(`through ${face.name}`, () => write(face))
}

/** Reads `body` until `text` has come; resolves with all that has. */
export async function readUntil (reader, text) {
  let seen = ''
  while (!seen.includes(text)) {
    const { value, done } = await reader.next()
    if (done) throw new Error(`the body ended before ${JSON.stringify(text)}: ${JSON.stringify(seen)}`)
    seen += Buffer.from(value).toString()
  }
  return seen
}

/**
 * A multipart/form-data body as undici's fetch writes it.
 *
 * @param {Record<string, string | { name: string, type: string, content: string | Buffer }>} fields
 */
export async function multipart (fields) {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') form.append(name, value)
    else form.append(name, new File([value.content], value.name, { type: value.type }))
  }
  const response = new globalThis.Response(form)
  return { headers: { 'content-type': response.headers.get('content-type') }, body: Buffer.from(await response.arrayBuffer()) }
}

/** Starts a client in a process of its own; resolves with what it wrote to stdout, or rejects with what it said. */
export function runClient (command, args, { input = '' } = {}) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: CLIENT_LIMIT })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', text => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', text => { stderr += text })
  child.stdin.on('error', () => {}).end(input)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout)
      else reject(new Error(`${command} ended with ${signal ?? code}\n${stdout}\n${stderr}`))
    })
  })
}

export function curl (args, options) {
  return runClient('curl', ['--silent', '--show-error', '--noproxy', '*', ...args], options)
}

/** Runs test/frameworks/clients/<name>.py; resolves with the JSON it printed. */
export async function pythonClient (name, ...args) {
  const file = fileURLToPath(new URL(`clients/${name}.py`, import.meta.url))
  return JSON.parse(await runClient(python, [file, ...args]))
}

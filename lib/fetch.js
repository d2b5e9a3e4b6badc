'use strict'

// `handler.fetch`: the application as a WHATWG fetch sees a server. No redirects are followed and no cookies kept.

const { discard } = require('./discard.js')
const { PythonHandlerError } = require('./errors.js')
const { takeChunk } = require('./request.js')
const { setImmediate } = require('./timers.js')

/** What a url without an origin is asked of: the name says that no network is meant. */
const ORIGIN = 'http://localhost'

/** Statuses whose responses have no body (Fetch standard, null body status). */
const WITHOUT_BODY = new Set([204, 205, 304])

/** Statuses that `redirect: 'error'` does not take (Fetch standard, redirect status). */
const REDIRECTS = new Set([301, 302, 303, 307, 308])

/** How many bytes of a Request's body are read ahead for its length, and what a part counts besides its own. */
const READ_AHEAD = 16 * 1024 * 1024
const PART_COST = 4096

/** How many turns of the event loop a part may take. Those of what is in memory take none. */
const TURNS = 5

/**
 * What `handler.fetch` takes: that of the global `fetch`, and these fields of `RequestOptions`.
 *
 * @typedef FetchOptions
 */

/** @returns {globalThis.Request} */
function toWebRequest (input, init) {
  const isPath = typeof input === 'string' && input.startsWith('/')
  const url = isPath ? new URL(input, ORIGIN) : input
  const request = new globalThis.Request(url, isStream(init?.body) ? { duplex: 'half', ...init } : init)
  if (!/^https?:/.test(request.url)) throw networkError('ERR_PYTHON_INVALID_URL', `no http url: ${request.url}`)
  return request
}

/** What fetch rejects with where it has no response. */
function networkError (code, message) {
  return new TypeError('fetch failed', { cause: new PythonHandlerError(code, message) })
}

function isStream (body) {
  return typeof body === 'object' && body !== null &&
    (typeof body.getReader === 'function' || typeof body[Symbol.asyncIterator] === 'function')
}

/**
 * What `handler.fetch` gives: a global `Response`.
 *
 * @typedef FetchResponse
 * @property debug The `info` of the application's `http.response.debug`, if it sent one.
 */

/**
 * @param {import('./handler.js').PythonHandler} handler
 * @returns {Promise<globalThis.Response>}
 */
async function fetch (handler, input, init) {
  const request = toWebRequest(input, init)
  const signal = request.signal
  if (signal.aborted) throw signal.reason
  const { state, extensions, socket } = init ?? {}
  let debug
  const body = await bodyFor(request, init)
  const response = await handler.handleStream({
    method: request.method,
    url: request.url,
    headers: headersOf(request, body),
    body,
    state,
    extensions,
    socket
  }, { signal, trailers: false, onDebug (info) { debug = info } })
  const { status } = response
  if (request.redirect === 'error' && REDIRECTS.has(status)) {
    response.cancel()
    throw networkError('ERR_PYTHON_REDIRECT', `a redirect, with status ${status}, where the request allows none`)
  }
  if (status > 599) {
    response.stream().destroy()
    throw new PythonHandlerError('ERR_PYTHON_INVALID_STATUS', `status ${status} is beyond what a fetch Response can have`)
  }
  const isEmpty = WITHOUT_BODY.has(status) || request.method === 'HEAD'
  const web = new globalThis.Response(isEmpty ? null : bodyOf(response), { status, headers: response.headers.entries() })
  if (isEmpty && !response.complete) discard(response).catch(() => {})
  Object.defineProperty(web, 'url', { value: request.url.split('#', 1)[0] })
  if (debug !== undefined) Object.defineProperty(web, 'debug', { value: debug, enumerable: true })
  return web
}

/**
 * What is complete crosses whole, with its length; a stream is read as it comes.
 *
 * @returns {Promise<Buffer | object | null>}
 */
async function bodyFor (request, init) {
  const given = init?.body
  if (given !== undefined && given !== null) return isStream(given) ? request.body : Buffer.from(await request.arrayBuffer())
  const { headers } = request
  if (request.body === null || headers.has('content-length') || headers.has('transfer-encoding')) return request.body
  return readAhead(request.body, request.signal)
}

/**
 * A Request shows its body as a stream, whatever it was made of; `fetch` itself would know the length. A string,
 * bytes or a form are there at once; what is not, or is large, stays a stream.
 *
 * @param {ReadableStream} stream
 * @param {AbortSignal} signal
 * @returns {Promise<Buffer | AsyncIterable<Uint8Array>>}
 */
async function readAhead (stream, signal) {
  const reader = stream.getReader()
  const chunks = []
  let length = 0
  try {
    while (length + chunks.length * PART_COST <= READ_AHEAD) {
      const next = reader.read()
      const part = await Promise.race([next, passing(TURNS)])
      signal.throwIfAborted()
      if (part === undefined) return rest(chunks, next, reader)
      if (part.done) return Buffer.concat(chunks, length)
      const chunk = takeChunk(part.value)
      chunks.push(chunk)
      length += chunk.length
    }
    return rest(chunks, reader.read(), reader)
  } catch (error) {
    giveUp(reader, error)
    throw error
  }
}

/** Resolves with undefined after some turns of the event loop. */
async function passing (turns) {
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
}

/** What was read, then the rest. Who leaves early cancels the stream, as a loop over it would. */
function rest (chunks, next, reader) {
  // It may fail before anybody asks for it.
  next.catch(() => {})
  return readOn(chunks, next, reader)
}

async function * readOn (chunks, next, reader) {
  try {
    while (chunks.length > 0) yield chunks.shift()
    for (let part = await next; !part.done; part = await reader.read()) yield part.value
  } finally {
    giveUp(reader)
  }
}

/** Does nothing to a stream that has ended. */
function giveUp (reader, reason) {
  reader.cancel(reason).catch(() => {})
}

/** Those of the request, and the length of no body where one is usual (Fetch standard, HTTP-network-or-cache fetch). */
function headersOf (request, body) {
  const headers = [...request.headers]
  const isEmpty = body === null
    ? request.method === 'POST' || request.method === 'PUT'
    : Buffer.isBuffer(body) && body.length === 0
  if (isEmpty && !request.headers.has('content-length')) headers.push(['content-length', '0'])
  return headers
}

/** The body as a byte stream that reads on only when it is read. */
function bodyOf (response) {
  return new ReadableStream({
    type: 'bytes',
    async pull (controller) {
      const chunk = await response.next()
      if (chunk === null) {
        controller.close()
        controller.byobRequest?.respond(0)
      } else {
        // A copy: a byte stream takes the buffer away, and ours may be shared.
        controller.enqueue(new Uint8Array(chunk))
      }
    },
    cancel () {
      response.cancel()
    }
  }, { highWaterMark: 0 })
}

module.exports = { fetch }

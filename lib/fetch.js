'use strict'

// `handler.fetch`: the application as a WHATWG fetch sees a server. No redirects are followed and no cookies kept.

const { PythonHandlerError } = require('./errors.js')

/** What a url without an origin is asked of: the name says that no network is meant. */
const ORIGIN = 'http://localhost'

/** Statuses whose responses have no body (Fetch standard, null body status). */
const WITHOUT_BODY = new Set([204, 205, 304])

/** @returns {globalThis.Request} */
function toWebRequest (input, init) {
  const isPath = typeof input === 'string' && input.startsWith('/')
  const url = isPath ? ORIGIN + input : input
  return new globalThis.Request(url, isStream(init?.body) ? { duplex: 'half', ...init } : init)
}

function isStream (body) {
  return typeof body === 'object' && body !== null &&
    (typeof body.getReader === 'function' || typeof body[Symbol.asyncIterator] === 'function')
}

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
  // What is complete crosses whole, with its length; a stream is read as it comes.
  const isComplete = !isStream(init?.body) && init?.body !== undefined && init.body !== null
  const response = await handler.handleStream({
    method: request.method,
    url: request.url,
    headers: headersOf(request),
    body: isComplete ? Buffer.from(await request.arrayBuffer()) : request.body,
    state,
    extensions,
    socket
  }, { signal, trailers: false, onDebug (info) { debug = info } })
  const { status } = response
  if (status > 599) {
    response.stream().destroy()
    throw new PythonHandlerError('ERR_PYTHON_INVALID_STATUS', `status ${status} is beyond what a fetch Response can have`)
  }
  const isEmpty = WITHOUT_BODY.has(status) || request.method === 'HEAD'
  const web = new globalThis.Response(isEmpty ? null : bodyOf(response), { status, headers: response.headers.entries() })
  if (isEmpty && !response.complete) response.stream().resume().on('error', () => {})
  Object.defineProperty(web, 'url', { value: request.url })
  if (debug !== undefined) Object.defineProperty(web, 'debug', { value: debug, enumerable: true })
  return web
}

/** Those of the request, and the length of no body where one is usual (Fetch standard, HTTP-network fetch). */
function headersOf (request) {
  const headers = [...request.headers]
  if (request.body === null && (request.method === 'POST' || request.method === 'PUT')) headers.push(['content-length', '0'])
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

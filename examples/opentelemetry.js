'use strict'

// One trace across Node.js and Python, with OpenTelemetry: each request is a client span here, and carries its
// `traceparent` (W3C Trace Context) to the application, whose server span is its child.
//
//   const { traced } = require('./opentelemetry.js')
//   new NodeTracerProvider({ spanProcessors }).register()
//   const handler = traced(await PythonHandler.load({ appTarget: 'main:app' }))
//
// Where no SDK is registered nothing is recorded, and headers cross as they are.

const { SpanKind, SpanStatusCode, context, propagation, trace } = require('@opentelemetry/api')
const { Headers, Request } = require('@platformatic/python-node')

/** How propagators read and write the `Headers` of this package. */
const GETTER = {
  get: (headers, name) => headers.has(name) ? headers.getAll(name) : undefined,
  keys: headers => headers.keys()
}
const SETTER = { set: (headers, name, value) => headers.set(name, value) }

/**
 * Traces the requests of a handler: those of `handleRequest`, `handleStream` and `fetch`, and those that
 * `createRequestListener` makes of it. A span ends with the response, that of a stream with its head.
 *
 * @param {import('@platformatic/python-node').PythonHandler} handler
 * @param {{ tracer?: import('@opentelemetry/api').Tracer }} [options]
 * @returns {import('@platformatic/python-node').PythonHandler} the same handler
 */
function traced (handler, { tracer = trace.getTracer('python-node') } = {}) {
  for (const name of ['handleRequest', 'handleStream']) {
    const call = handler[name].bind(handler)
    handler[name] = (request, options) => callInSpan(tracer, request, request => call(request, options))
  }
  return handler
}

async function callInSpan (tracer, request, call) {
  // No request: the handler says so.
  if (request === null || typeof request !== 'object') return call(request)
  const given = request.headers
  // A copy: the caller may use its own for another request, which has another span.
  const headers = new Headers(given)
  const parent = parentOf(headers)
  const span = tracer.startSpan(request.method ?? 'GET', { kind: SpanKind.CLIENT, attributes: attributesOf(request) }, parent)
  // What another span has left, a `tracestate` without its `traceparent` too.
  for (const name of propagation.fields()) headers.delete(name)
  propagation.inject(trace.setSpan(parent, span), headers, SETTER)
  try {
    const response = await call(request instanceof Request ? Object.assign(request, { headers }) : { ...request, headers })
    span.setAttribute('http.response.status_code', response.status)
    if (response.status >= 400) fail(span, String(response.status))
    return response
  } catch (error) {
    // An abort's reason can be any value, and the code of an `AbortError` is a number.
    const type = typeof error?.code === 'string' ? error.code : error?.name ?? typeof error
    if (error instanceof Error) span.recordException(error)
    fail(span, type, error?.message)
    throw error
  } finally {
    if (request instanceof Request) request.headers = given
    span.end()
  }
}

/** The active span's context; where there is none, that of the client that the request's headers name. */
function parentOf (headers) {
  const active = context.active()
  return trace.getSpan(active) === undefined ? propagation.extract(active, headers, GETTER) : active
}

/** Names of the semantic conventions for HTTP. Without the query, which may hold secrets. */
function attributesOf (request) {
  const attributes = { 'http.request.method': request.method ?? 'GET' }
  if (URL.canParse(request.url, 'http://localhost')) attributes['url.path'] = new URL(request.url, 'http://localhost').pathname
  return attributes
}

function fail (span, type, message) {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR, message })
}

module.exports = { traced }

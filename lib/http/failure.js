'use strict'

/**
 * What becomes of a request that failed: its status, the text the client gets, the line the operator gets.
 */

const { STATUS_CODES } = require('node:http')
const { PythonHandlerError } = require('../errors.js')
const { isHttp2 } = require('./protocol.js')
const { endOverRest } = require('./rest-of-body.js')

const STATUS_OF_CODE = {
  ERR_PYTHON_INVALID_METHOD: 400,
  ERR_PYTHON_INVALID_REQUEST: 400,
  ERR_PYTHON_INVALID_URL: 400,
  ERR_PYTHON_BODY_TOO_LARGE: 413,
  ERR_PYTHON_HEADERS_TOO_LARGE: 431,
  ERR_PYTHON_UNSUPPORTED_CODING: 501,
  ERR_PYTHON_CLOSED: 503,
  ERR_PYTHON_OVERLOADED: 503,
  ERR_PYTHON_RESPONSE_TIMEOUT: 504,
  ERR_PYTHON_UNSUPPORTED_PROTOCOL: 505
}

/** Framing that cannot be trusted, or a server that stops: what follows on the connection is not read as a request. */
const CLOSING_CODES = new Set([
  'ERR_PYTHON_CLOSED', 'ERR_PYTHON_INVALID_REQUEST', 'ERR_PYTHON_UNSUPPORTED_CODING', 'ERR_PYTHON_UNSUPPORTED_PROTOCOL'
])

/** Of status 500 and above, but the client's, or nobody's: what comes while the server stops. */
const NOT_OURS = new Set(['ERR_PYTHON_CLOSED', 'ERR_PYTHON_UNSUPPORTED_CODING', 'ERR_PYTHON_UNSUPPORTED_PROTOCOL'])

/** An overload passes within about a second or needs an operator. */
const RETRY_AFTER_SECONDS = '1'

/** finalhandler's list: these would describe a body that is not sent. */
const CONTENT_HEADERS = ['content-encoding', 'content-language', 'content-range', 'content-length']

class Failure {
  error
  status

  /** `building`: the error came before the application's answer, so the client sent what it complains of. */
  constructor (error, building) {
    const code = error?.code
    this.error = error
    this.status = building && code === 'ERR_PYTHON_INVALID_HEADER' ? 400 : STATUS_OF_CODE[code] ?? 500
  }

  /** Answers in plain text. The head must not have been sent. */
  answer (req, res, expose) {
    const text = Buffer.from(`${expose ? describe(this.error) : STATUS_CODES[this.status]}\n`)
    for (const name of CONTENT_HEADERS) res.removeHeader(name)
    res.setHeader('content-type', 'text/plain; charset=utf-8')
    res.setHeader('content-length', text.length)
    res.setHeader('x-content-type-options', 'nosniff')
    if (this.status === 503) res.setHeader('retry-after', RETRY_AFTER_SECONDS)
    const hasRest = this.status === 413 && !req.complete
    if (!isHttp2(req) && (hasRest || CLOSING_CODES.has(this.error.code))) res.setHeader('connection', 'close')
    res.writeHead(this.status)
    const content = req.method === 'HEAD' ? undefined : text
    if (hasRest) endOverRest(req, res, content)
    else res.end(content)
  }
}

/**
 * How a failed request is going to be answered.
 *
 * @typedef FailureContext
 * @property status The status of the answer. Below 500 the client is at fault.
 * @property next What Express or Connect passed to the listener.
 */

/** The default of `onError`: what is the server's fault goes to stderr, what is the client's goes nowhere. */
function logFailure (error, req, res, { status }) {
  if (status < 500 || NOT_OURS.has(error?.code)) return
  const path = req.url.split('?', 1)[0]
  console.error(`python-node: ${req.method} ${path} failed\n${describe(error)}`)
}

/**
 * Calls an `onError` of the user's. What it rejects with, which comes after the answer, goes to stderr.
 *
 * @returns {boolean} whether the answer is its own
 * @throws what it throws
 */
function tell (onError, ...what) {
  const taken = onError(...what)
  if (typeof taken?.then === 'function') taken.then(undefined, cause => console.error(cause))
  return taken === true
}

/** A body that a client could take for whole, or for another response's. */
function mismatch (announced, sent) {
  return new PythonHandlerError(
    'ERR_PYTHON_CONTENT_LENGTH_MISMATCH',
    `body of the response differs from its \`content-length\`: ${announced} announced, ${sent} sent`
  )
}

function describe (error) {
  return String(error?.traceback ?? error?.stack ?? error).trimEnd()
}

module.exports = { Failure, logFailure, mismatch, tell }

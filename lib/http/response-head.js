'use strict'

/**
 * Writes status and headers of the application to a Node response: order and repeats kept, what belongs to the
 * connection left to Node. Everything is checked before anything is written, so that a bad head can still be
 * answered with a 500.
 */

const { ServerResponse, validateHeaderName, validateHeaderValue } = require('node:http')
const { PythonHandlerError } = require('../errors.js')
const { Headers } = require('../headers.js')
const { CONNECTION_FIELDS, isHttp2 } = require('./protocol.js')

const DIGITS = /^\d+$/
const CLOSE = /(^|,)\s*close\s*(,|$)/i

/** Middleware and application both have a say in these; any other header of the application replaces. */
const MERGED = new Set(['set-cookie', 'vary'])

/** The framing, and how long this connection may idle. */
const LEFT_TO_NODE = new Set(['keep-alive', 'transfer-encoding'])

class ResponseHead {
  status
  /** The `content-length` the application announced, -1 without one. */
  contentLength = -1
  /** Whether the message ends with its head (HEAD, 204, 205, 304). */
  bodiless
  /** Name, value, name, value, … */
  #lines = []
  /** Lines of `trailer`: sent where trailers can follow, elsewhere Node refuses them. */
  #trailerLines = []
  /** The application closes the connection. */
  #closes = false
  /** It names protocols that it would change to (426). */
  #offersUpgrade = false

  constructor (req, response) {
    const { status } = response
    if (!Number.isInteger(status) || status < 200 || status > 999) {
      throw invalid(`status is not that of a final response: ${status}`)
    }
    this.status = status
    this.bodiless = req.method === 'HEAD' || status === 204 || status === 205 || status === 304
    const http2 = isHttp2(req)
    const { headers } = response
    const list = headers instanceof Headers ? Headers.list(headers) : [...headers].flat()
    for (let i = 0; i < list.length; i += 2) {
      const name = list[i]
      const value = list[i + 1]
      if (name === 'content-length') {
        if (!this.#readLength(value)) continue
      } else if (LEFT_TO_NODE.has(name) || (http2 && CONNECTION_FIELDS.has(name))) {
        continue
      } else if (name === 'trailer') {
        this.#trailerLines.push(name, value)
        continue
      } else if (name === 'connection') {
        this.#closes ||= CLOSE.test(value)
        continue
      } else if (name === 'upgrade') {
        // HTTP/1.0 has none (RFC 9110, 7.8).
        if (req.httpVersionMinor === 0) continue
        this.#offersUpgrade = true
      }
      this.#lines.push(name, value)
    }
  }

  /** Writes the head; `length` is that of a body known whole, or -1; `takesTrailers`: the client does. */
  write (req, res, length, takesTrailers = false) {
    const lines = this.#lines
    // RFC 9110, 15.3.6: without content, and unlike 204 and 304 it says so.
    if (this.status === 205) lines.push('content-length', '0')
    else if (length !== -1 && this.contentLength === -1) lines.push('content-length', String(length))
    else if (takesTrailers && this.#endsWithTrailers(req)) lines.push(...this.#trailerLines)
    // Node takes any `connection` but `close` for a reason to keep it.
    const closes = this.#closes || res.shouldKeepAlive === false
    if (this.#offersUpgrade) lines.push('connection', closes ? 'close, upgrade' : 'upgrade')
    else if (this.#closes) lines.push('connection', 'close')
    if (!isHttp2(req) && res.writeHead === ServerResponse.prototype.writeHead && !hasHeaders(res)) {
      res.writeHead(this.status, lines)
    } else {
      this.#writeOverOthers(res)
    }
  }

  /**
   * Where others have set headers or replaced `writeHead` (Express middleware), and under HTTP/2: Node 20 loses
   * repeats in `writeHead(status, array)` then, and some middleware reads only `getHeader`. What Node refuses leaves
   * nothing behind: it would be in the answer that says so.
   */
  #writeOverOthers (res) {
    const lines = this.#lines
    const values = new Map()
    for (let i = 0; i < lines.length; i += 2) {
      const name = lines[i]
      validateHeaderName(name)
      validateHeaderValue(name, lines[i + 1])
      const before = values.get(name)
      if (before === undefined) values.set(name, [lines[i + 1]])
      else before.push(lines[i + 1])
    }
    const replaced = new Map()
    try {
      for (const [name, list] of values) {
        replaced.set(name, res.getHeader(name))
        const others = MERGED.has(name) ? res.getHeader(name) ?? [] : []
        const all = [].concat(others, list)
        res.setHeader(name, all.length === 1 ? all[0] : all)
      }
      res.writeHead(this.status)
    } catch (error) {
      for (const [name, value] of replaced) {
        if (value === undefined) res.removeHeader(name)
        else res.setHeader(name, value)
      }
      throw error
    }
  }

  /** Only a chunked body or an HTTP/2 stream ends with them. */
  #endsWithTrailers (req) {
    return !this.bodiless && (isHttp2(req) || this.contentLength === -1)
  }

  /** Returns whether the line belongs in the head. */
  #readLength (value) {
    if (!DIGITS.test(value)) throw invalid(`\`content-length\` is not a number: ${value}`)
    const length = Number(value)
    const repeated = this.contentLength !== -1
    if (repeated && length !== this.contentLength) throw invalid('`content-length` is repeated with another value')
    this.contentLength = length
    return !repeated && this.status !== 204 && this.status !== 205
  }
}

/** Whether others have set any. */
function hasHeaders (res) {
  const headers = res.getHeaders()
  for (const _ in headers) return true
  return false
}

function invalid (message) {
  return new PythonHandlerError('ERR_PYTHON_INVALID_RESPONSE', message)
}

module.exports = { ResponseHead }

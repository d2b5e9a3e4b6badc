'use strict'

/**
 * Writes status and headers of the application to a Node response: order and repeats kept, what belongs to the
 * connection left to Node. Everything is checked before anything is written, so that a bad head can still be
 * answered with a 500.
 */

const { ServerResponse, validateHeaderName, validateHeaderValue } = require('node:http')
const { PythonHandlerError } = require('../errors.js')
const { Headers } = require('../headers.js')

const DIGITS = /^\d+$/

/** Middleware and application both have a say in these; any other header of the application replaces. */
const MERGED = new Set(['set-cookie', 'vary'])

/** The framing, and how long this connection may idle. */
const LEFT_TO_NODE = new Set(['keep-alive', 'transfer-encoding'])

class ResponseHead {
  status
  /** The `content-length` the application announced, -1 without one. */
  contentLength = -1
  /** Whether the message ends with its head (HEAD, 204, 304). */
  bodiless
  /** Name, value, name, value, … */
  #lines = []
  /** Lines of `trailer`: sent where trailers can follow, elsewhere Node refuses them. */
  #trailerLines = []

  constructor (req, response) {
    const { status } = response
    if (!Number.isInteger(status) || status < 200 || status > 999) {
      throw invalid(`status is not that of a final response: ${status}`)
    }
    this.status = status
    this.bodiless = req.method === 'HEAD' || status === 204 || status === 304
    const http2 = req.httpVersionMajor === 2
    const { headers } = response
    const list = headers instanceof Headers ? Headers.list(headers) : [...headers].flat()
    for (let i = 0; i < list.length; i += 2) {
      const name = list[i]
      const value = list[i + 1]
      if (name === 'content-length') {
        if (!this.#readLength(value)) continue
      } else if (LEFT_TO_NODE.has(name)) {
        continue
      } else if (name === 'trailer') {
        this.#trailerLines.push(name, value)
        continue
      } else if (name === 'connection' && (http2 || value.toLowerCase() !== 'close')) {
        continue
      }
      this.#lines.push(name, value)
    }
  }

  /** Writes the head; `length` is that of a body known whole, or -1; `takesTrailers`: the client does. */
  write (req, res, length, takesTrailers = false) {
    const lines = this.#lines
    if (length !== -1 && this.contentLength === -1) lines.push('content-length', String(length))
    else if (takesTrailers && this.#endsWithTrailers(req)) lines.push(...this.#trailerLines)
    if (req.httpVersionMajor === 1 && res.writeHead === ServerResponse.prototype.writeHead && !hasHeaders(res)) {
      res.writeHead(this.status, lines)
    } else {
      this.#writeOverOthers(res)
    }
  }

  /**
   * Where others have set headers or replaced `writeHead` (Express middleware), and under HTTP/2: Node 20 loses
   * repeats in `writeHead(status, array)` then, and some middleware reads only `getHeader`.
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
    for (const [name, list] of values) {
      const others = MERGED.has(name) ? res.getHeader(name) ?? [] : []
      const all = [].concat(others, list)
      res.setHeader(name, all.length === 1 ? all[0] : all)
    }
    res.writeHead(this.status)
  }

  /** Only a chunked body or an HTTP/2 stream ends with them. */
  #endsWithTrailers (req) {
    return !this.bodiless && (req.httpVersionMajor === 2 || this.contentLength === -1)
  }

  /** Returns whether the line belongs in the head. */
  #readLength (value) {
    if (!DIGITS.test(value)) throw invalid(`\`content-length\` is not a number: ${value}`)
    const length = Number(value)
    const repeated = this.contentLength !== -1
    if (repeated && length !== this.contentLength) throw invalid('`content-length` is repeated with another value')
    this.contentLength = length
    return !repeated && this.status !== 204
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

'use strict'

// What the methods of a WebSocket are given, in the form that a call takes: by the rules of WebIDL where the standard has them.

const { isAnyArrayBuffer } = require('node:util').types
const { Headers } = require('./headers.js')
const { Request, TOKEN, invalid } = require('./request.js')

/** The longest reason that fits a close frame (RFC 6455 5.5). */
const LONGEST_REASON = 123

/**
 * What `connect` takes beside the target.
 *
 * @typedef ConnectOptions
 * @property signal Its abort ends the connection.
 * @property protocols The subprotocols offered, in the order of preference: HTTP tokens, none twice. Default: none.
 * @property headers The headers of a target that is a url; with any other, `ERR_PYTHON_INVALID_ARGUMENT`. Default: none.
 */

/** What `connect` takes besides its target: options, or protocols alone as the standard's class. */
function optionsOf (options) {
  if (options === undefined || options === null) return {}
  if (typeof options === 'string' || Array.isArray(options)) return { protocols: options }
  if (typeof options !== 'object') throw invalid(`expected options or protocols, not ${typeof options}`)
  return options
}

/** @returns {string} the protocols as a header has them; '' for none */
function offerOf (protocols) {
  const offered = typeof protocols === 'string' ? [protocols] : protocols
  if (!Array.isArray(offered) || !offered.every(protocol => typeof protocol === 'string')) {
    throw invalid('`protocols` must be a string or strings')
  }
  // A SyntaxError of the standard's class (RFC 6455 4.1).
  if (!offered.every(protocol => TOKEN.test(protocol))) throw invalid('`protocols` must be HTTP tokens')
  if (new Set(offered).size !== offered.length) throw invalid('`protocols` must not repeat one')
  return offered.join(', ')
}

function requestOf (target, headers, offer) {
  const isUrl = typeof target !== 'object' || target === null || target instanceof URL
  if (!isUrl && headers !== undefined) throw invalid('`headers` are of a url only: a request has its own')
  if (target instanceof Request) return Request.toWebSocket(target, offer)
  const fields = isUrl ? { url: target, headers, websocket: true } : { ...target, websocket: true }
  if (offer !== '') {
    fields.headers = new Headers(fields.headers)
    fields.headers.set('sec-websocket-protocol', offer)
  }
  return new Request(fields)
}

/** The url of a WebSocket as the standard says it: its own scheme, no fragment. A path stays one. */
function urlOf ({ url }) {
  const match = /^(?:http|ws)(s?)(:[^#]*)/i.exec(url)
  return match === null ? url : `ws${match[1].toLowerCase()}${match[2]}`
}

/** @returns {string} '' for a path, and for a host that only ASGI servers take */
function originOf (url) {
  return URL.canParse(url) ? new URL(url).origin : ''
}

/** A message as bytes; a primitive as its text. */
function bytesOf (message) {
  if (Buffer.isBuffer(message) && message.length > 0) return message
  const isView = ArrayBuffer.isView(message)
  if (isView || isAnyArrayBuffer(message)) {
    try {
      return isView ? Buffer.from(message.buffer, message.byteOffset, message.byteLength) : Buffer.from(message)
    } catch {
      throw invalid('a message must not be of a detached buffer')
    }
  }
  if (typeof message === 'object' && message !== null || typeof message === 'function') {
    throw invalid(`a message must be a string, Buffer, ArrayBuffer, view or Blob, not ${typeof message}`)
  }
  return Buffer.from(`${message}`)
}

/** `[Clamp] unsigned short`, and what the standard allows of it. */
function closeCodeOf (value) {
  // Not `Number()`, which takes a BigInt.
  const number = +value
  const clamped = Math.min(Math.max(number, 0), 0xffff) || 0
  const rounded = Math.round(clamped)
  // Halves to the even neighbour.
  const code = clamped % 1 === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded
  if (code !== 1000 && !(code >= 3000 && code <= 4999)) {
    throw new DOMException(`The close code must be 1000 or 3000 to 4999, not ${code}`, 'InvalidAccessError')
  }
  return code
}

/** A `USVString`, '' where there is none. */
function closeReasonOf (value) {
  const reason = value === undefined ? '' : `${value}`.toWellFormed()
  if (Buffer.byteLength(reason) > LONGEST_REASON) {
    throw new DOMException(`The close reason must be at most ${LONGEST_REASON} bytes of UTF-8`, 'SyntaxError')
  }
  return reason
}

module.exports = { bytesOf, closeCodeOf, closeReasonOf, offerOf, optionsOf, originOf, requestOf, urlOf }

'use strict'

/**
 * The package `ws`: what it says of a client's faults, and what it keeps to itself. Nothing else uses its private fields; a
 * version without them loses what is said here, and goes on.
 */

const { PythonHandlerError } = require('../errors.js')
const { TOKEN } = require('../request.js')

/** Close codes (RFC 6455 7.4.1): broke the protocol, no UTF-8 or not compressed as agreed, too many parts, above the limit. */
const PROTOCOL_ERROR = 1002
const INVALID_DATA = 1007
const POLICY_VIOLATION = 1008
const TOO_LARGE = 1009

/** A client that ended its side of the connection, without a close frame. */
const ABNORMAL = 1006

/** What `ws` closes with for these; for others of its own PROTOCOL_ERROR. */
const CODE_OF_ERROR = {
  WS_ERR_INVALID_UTF8: INVALID_DATA,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: POLICY_VIOLATION,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: TOO_LARGE,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: TOO_LARGE
}

function loadWs () {
  try {
    return require('ws')
  } catch (cause) {
    throw new PythonHandlerError('ERR_PYTHON_WS_NOT_FOUND', 'attachWebSocket needs the package `ws`: npm install ws', { cause })
  }
}

/** @returns {number | null} the code that `ws` closes with because of the client; null where the connection broke */
function faultOf ({ code = '' }) {
  if (code.startsWith('WS_ERR_')) return CODE_OF_ERROR[code] ?? PROTOCOL_ERROR
  return code.startsWith('Z_') ? INVALID_DATA : null
}

/**
 * Calls `listener` with code and reason when the last message of a client has come: its close frame, or the end of its side.
 * The 'close' of `ws` waits for the end of the connection, up to 30 s in which it drops what is sent.
 */
function onEnd ({ _receiver: receiver }, listener) {
  receiver?.once('conclude', (code, reason) => listener(code, reason.toString()))
  receiver?.once('finish', () => listener(ABNORMAL, ''))
}

/**
 * `ws` (8.23.0) parses on after an error where further chunks wait behind a compressed message, and throws into the
 * event loop: a client could end the process.
 */
function stopAtError ({ _receiver: receiver }) {
  const write = receiver?._write
  if (typeof write !== 'function') return
  receiver._write = (chunk, encoding, callback) => {
    if (receiver.errored) callback(receiver.errored)
    else write.call(receiver, chunk, encoding, callback)
  }
}

/** Whether `ws` takes what a client offers. It refuses a malformed offer only after the application was asked. */
function takesOffers ({ 'sec-websocket-protocol': protocols, 'sec-websocket-extensions': extensions }) {
  return (protocols === undefined || isProtocols(protocols)) && (extensions === undefined || isExtensions(extensions))
}

/** Tokens without repeats (RFC 6455 4.1). */
function isProtocols (protocols) {
  const offered = protocols.split(/[ \t]*,[ \t]*/)
  return offered.every(protocol => TOKEN.test(protocol)) && new Set(offered).size === offered.length
}

function isExtensions (extensions) {
  try {
    // Not every version shows its parser.
    loadWs().extension?.parse(extensions)
    return true
  } catch {
    return false
  }
}

module.exports = { TOO_LARGE, faultOf, loadWs, onEnd, stopAtError, takesOffers }

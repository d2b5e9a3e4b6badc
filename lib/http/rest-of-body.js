'use strict'

/**
 * The rest of a body that was refused. A client reads the answer after what it is just sending: a connection that is closed
 * under that is reset, and the answer may be lost.
 */

const { constants: { NGHTTP2_NO_ERROR } } = require('node:http2')
const { continueSent, expectsContinue, isHttp2 } = require('./protocol.js')
const { clearTimeout, setImmediate, setTimeout } = require('../timers.js')

/** What is on its way to a client's first look at the answer. */
const REST_BYTES = 8 * 2 ** 20
const REST_TIME = 2_000

/** Ends a response whose head is written, and takes no more of the request's body than there may be on its way. */
function endOverRest (req, res, text) {
  if (isHttp2(req)) endStream(req, res, text)
  else if (isComing(req, res)) endLate(req, res, text)
  else res.end(text)
}

/** RFC 9113, 8.1: a stream is reset without an error when the response has ended. */
function endStream (req, res, text) {
  const { stream } = req
  // Its listener before this one ends the stream, in a frame that is sent first.
  stream.on('wantTrailers', () => setImmediate(() => stream.close(NGHTTP2_NO_ERROR)))
  res.end(text)
}

/** The client has the whole response, its connection is kept to the end of its body, but not for long. */
function endLate (req, res, text) {
  let left = REST_BYTES
  const end = () => {
    clearTimeout(timer)
    req.off('data', count).off('end', end).off('close', end)
    res.end()
  }
  const count = chunk => {
    left -= chunk.length
    if (left < 0) end()
  }
  const timer = setTimeout(end, REST_TIME)
  if (text === undefined) res.flushHeaders()
  else res.write(text)
  req.on('data', count).on('end', end).on('close', end)
  req.resume()
}

/** Whether the client sends it, or was told to. */
function isComing (req, res) {
  if (req.complete || req.destroyed) return false
  return !expectsContinue(req.headers.expect) || continueSent(req, res)
}

module.exports = { endOverRest }

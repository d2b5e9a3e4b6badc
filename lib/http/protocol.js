'use strict'

/**
 * What HTTP/1 and HTTP/2 do not share: by which of them a request came, and the fields that are no message's own.
 */

/** Not the version in the request line: a client can write `HTTP/2.0` there. */
function isHttp2 (req) {
  return req.stream !== undefined
}

/** Of one connection under HTTP/1; HTTP/2 has none of them (RFC 9113, 8.2.2), and Node throws at most. */
const CONNECTION_FIELDS = new Set([
  'connection', 'http2-settings', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade'
])

/** Framing, routing and what the content is are said before it (RFC 9110, 6.5.1). */
const HEAD_FIELDS = new Set([
  ...CONNECTION_FIELDS,
  'content-encoding', 'content-length', 'content-range', 'content-type', 'expect', 'host', 'max-forwards', 'trailer'
])

/** As Node reads it: among other expectations too. */
const CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i

function expectsContinue (expect = '') {
  return CONTINUE.test(expect)
}

/** Node answers `100 Continue` by itself unless the server has a 'checkContinue' listener. */
function continueSent (req, res) {
  // An HTTP/2 stream has no list before the first.
  return isHttp2(req) ? (req.stream.sentInfoHeaders ?? []).some(sent => sent[':status'] === 100) : res._sent100 === true
}

module.exports = { CONNECTION_FIELDS, HEAD_FIELDS, continueSent, expectsContinue, isHttp2 }

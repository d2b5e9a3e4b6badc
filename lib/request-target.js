'use strict'

// Takes a URL apart without changing it: `raw_path` is what the caller wrote.

const { domainToASCII } = require('node:url')
const { PythonHandlerError } = require('./errors.js')

const ABSOLUTE = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^#]*)/i
const SCHEMES = new Set(['http', 'https', 'ws', 'wss'])
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[-a-z0-9._~!$&'()*+,;=%]+)(?::(\d*))?$/i
const PLAIN = /^[\x21-\x7e]*$/
const CONTROL = /[\x00-\x1f\x7f]/
const TO_ENCODE = /[^\x21-\x7e]+/g

/**
 * @typedef {object} RequestTarget
 * @property {string} scheme lower-case; '' for a url without one
 * @property {string} authority host and port; '' for a url without one
 * @property {string} target path and query, percent-encoded where HTTP needs it, otherwise as written
 */

function invalid (url, reason) {
  return new PythonHandlerError('ERR_PYTHON_INVALID_URL',
    `invalid url ${JSON.stringify(String(url).slice(0, 80))}: ${reason}`)
}

/** Percent-encodes what cannot stand in a request target: spaces and everything beyond ASCII, as UTF-8. */
function encode (url, target) {
  if (PLAIN.test(target)) return target
  if (CONTROL.test(target)) throw invalid(url, 'it holds a control character')
  return target.replace(TO_ENCODE, part => encodeURIComponent(part.toWellFormed()))
}

/** Host and port, the host in ASCII (RFC 5891) as it stands in a Host header. */
function checkAuthority (url, authority) {
  if (CONTROL.test(authority)) throw invalid(url, 'it holds a control character')
  let ascii = authority
  if (!PLAIN.test(authority)) {
    const [host, port = ''] = authority.split(/(?=:\d*$)/)
    ascii = domainToASCII(host) + port
  }
  const match = AUTHORITY.exec(ascii)
  if (match === null || Number(match[2] ?? 0) > 65535) throw invalid(url, 'it has no valid host and port')
  return ascii
}

/**
 * @param {string} url a path with or without query, `*`, or an absolute http(s) or ws(s) URL
 * @returns {RequestTarget}
 * @throws {PythonHandlerError} ERR_PYTHON_INVALID_URL
 */
function parseTarget (url) {
  const first = url.charCodeAt(0)
  if (first === 0x2f /* / */) return { scheme: '', authority: '', target: encode(url, url) }
  if (url === '*') return { scheme: '', authority: '', target: url }
  const match = ABSOLUTE.exec(url)
  if (match === null) throw invalid(url, 'expected a path or an absolute URL')
  const scheme = match[1].toLowerCase()
  if (!SCHEMES.has(scheme)) throw invalid(url, 'expected http, https, ws or wss')
  const authority = match[2]
  const rest = match[3]
  return {
    scheme,
    authority: checkAuthority(url, authority.slice(authority.lastIndexOf('@') + 1)),
    target: encode(url, rest.startsWith('/') ? rest : '/' + rest)
  }
}

/**
 * @param {string} scheme
 * @param {string} authority of a url, or of a Host header
 * @returns {{ host: string, port: string } | null} null for one that names no host
 */
function serverOf (scheme, authority) {
  const match = AUTHORITY.exec(authority)
  if (match === null) return null
  const usual = scheme === 'https' || scheme === 'wss' ? '443' : '80'
  return { host: match[1].replace(/^\[|\]$/g, ''), port: match[2] || usual }
}

module.exports = { parseTarget, serverOf }

'use strict'

// A request as it crosses to the native side: one text for the head, one body. The format is that of
// src/exchange/request_head.rs.

const { randomBytes } = require('node:crypto')
const { PythonHandlerError } = require('./errors.js')
const { Headers } = require('./headers.js')
const { toJson } = require('./json.js')
const { Request, checkMethod, checkObject, invalid, takeBody, urlText } = require('./request.js')
const { parseTarget, serverOf } = require('./request-target.js')

const BEYOND_LATIN1 = /[^\x00-\xff]/
const BEYOND_ASCII = /[^\x00-\x7f]/
const CONTROL = /[\x00-\x1f\x7f]/

/** The lines of a socket that is the same for many requests. */
const socketLines = new WeakMap()

/** The lines of servers that many requests name. */
const serverLines = new Map()
const SERVERS_KEPT = 256

/**
 * @typedef {object} Crossing
 * @property {string} head
 * @property {number} count headers
 * @property {number} givenCount headers that the caller gave
 * @property {number} givenSize bytes of the caller's url, and of the names and values of its headers
 * @property {Buffer | undefined} body complete
 * @property {object | null} source a stream to read the body from
 * @property {boolean} more whether the body follows
 * @property {string | undefined} extra JSON
 * @property {boolean} isWebSocket
 */

/** The one that crosses now: used up at once, so one object serves all. */
const crossing = { head: '', count: 0, givenCount: 0, givenSize: 0, body: undefined, source: null, more: false, extra: undefined, isWebSocket: false }

/** The headers of the one that crosses now, and what its framing says. */
const fields = { lines: '', count: 0, host: null, length: null, isFramed: false, isUpgrade: false }

/**
 * @param {Request | object} request a Request, or a plain object of its fields: complete as it is
 * @param {boolean} streamed whether the caller reads the response as a stream
 * @returns {Crossing}
 */
function cross (request, streamed) {
  if (request instanceof Request) {
    const { method, target, headers, facts, docroot, isWebSocket, body, more } = Request.parts(request, streamed)
    const extra = extraOf(facts, docroot)
    readHeaders(headers)
    crossParts(method, target, facts, extra, isWebSocket, body, more)
  } else {
    checkObject(request)
    const method = request.method ?? 'GET'
    checkMethod(method)
    const target = parseTarget(urlText(request.url))
    const { headers, docroot = null } = request
    if (docroot !== null && typeof docroot !== 'string') throw invalid('`docroot` must be a string')
    // First: it runs the caller's getters and `toJSON`, which may make another request cross.
    const extra = extraOf(request, docroot)
    const body = takeBody(request.body)
    if (headers === undefined || headers === null) readHeaders(null)
    else if (!isPlain(headers) || !readPlain(headers)) readHeaders(headers instanceof Headers ? headers : new Headers(headers))
    crossParts(method, target, request, extra, request.websocket === true, body, body !== null && !Buffer.isBuffer(body))
  }
  return crossing
}

function crossParts (method, target, facts, extra, isWebSocket, body, more) {
  const isBytes = body !== null && Buffer.isBuffer(body)
  if (fields.length !== null && !more && !isWebSocket) checkLength(fields.length, isBytes ? body.length : 0)
  crossing.givenCount = fields.count
  crossing.givenSize = sizeOf(target) + fields.lines.length - 2 * fields.count
  if (target.authority !== '' && fields.host === null) {
    fields.lines = `\nhost\n${target.authority}${fields.lines}`
    fields.count++
  }
  // What an HTTP client says of a body whose length it knows: applications read no further without it.
  if (isBytes && !fields.isFramed && body.length > 0) {
    fields.lines += `\ncontent-length\n${body.length}`
    fields.count++
  }
  // And what a WebSocket client says (RFC 6455 4.1).
  if (isWebSocket && !fields.isUpgrade) {
    const key = randomBytes(16).toString('base64')
    fields.lines += `\nconnection\nUpgrade\nupgrade\nwebsocket\nsec-websocket-version\n13\nsec-websocket-key\n${key}`
    fields.count += 4
  }
  const head = method + '\n' + target.target + factLines(facts, target) + fields.lines
  if (BEYOND_LATIN1.test(head)) {
    throw BEYOND_LATIN1.test(fields.lines)
      ? new PythonHandlerError('ERR_PYTHON_INVALID_HEADER', 'a header holds a character above U+00FF')
      : invalid('the request holds a character above U+00FF')
  }
  crossing.head = head
  crossing.count = fields.count
  crossing.body = isBytes ? body : undefined
  crossing.source = body === null || isBytes ? null : body
  crossing.more = more
  crossing.extra = extra
  crossing.isWebSocket = isWebSocket
}

/** A whole body is as long as is said, or the application would take a part of it for the whole, or wait for more. */
function checkLength (announced, length) {
  if (Number(announced) === length) return
  throw new PythonHandlerError('ERR_PYTHON_INVALID_HEADER', `\`content-length\` is ${JSON.stringify(announced)}, and the body has ${length} bytes`)
}

/** Bytes of a url, as far as it crosses. */
function sizeOf ({ scheme, authority, target }) {
  return target.length + (scheme === '' ? 0 : scheme.length + '://'.length + authority.length)
}

// ------------------------------------------------------------------------------ headers

function reset () {
  fields.lines = ''
  fields.count = 0
  fields.host = null
  fields.length = null
  fields.isFramed = false
  fields.isUpgrade = false
}

/** Notes the names that say something of the message itself. Their lengths tell most others apart. */
function note (name, value) {
  switch (name.length) {
    case 4:
      if (fields.host === null && name.toLowerCase() === 'host') fields.host = value
      break
    case 7:
      if (name.toLowerCase() === 'upgrade') fields.isUpgrade = true
      break
    case 14:
      if (name.toLowerCase() === 'content-length') {
        fields.isFramed = true
        fields.length = value
      }
      break
    case 17:
      if (name.toLowerCase() === 'transfer-encoding') fields.isFramed = true
      break
  }
}

/** @param {Headers | null} headers */
function readHeaders (headers) {
  reset()
  if (headers === null) return
  const list = Headers.list(headers)
  let lines = ''
  for (let index = 0; index < list.length; index += 2) {
    note(list[index], list[index + 1])
    lines += '\n' + list[index] + '\n' + list[index + 1]
  }
  fields.lines = lines
  fields.count = list.length / 2
}

/** The usual case, without an object in between. False: a value is a list, a number …; the general way is needed. */
function readPlain (headers) {
  reset()
  let lines = ''
  let count = 0
  for (const name in headers) {
    const value = headers[name]
    if (typeof value !== 'string' || !Object.hasOwn(headers, name)) return false
    note(name, value)
    lines += '\n' + name + '\n' + value
    count++
  }
  fields.lines = lines
  fields.count = count
  return true
}

function isPlain (headers) {
  if (typeof headers !== 'object') return false
  const prototype = Object.getPrototypeOf(headers)
  return prototype === Object.prototype || prototype === null
}

// -------------------------------------------------------------------------------- facts

/** RFC 3986, 3.1. */
const SCHEME = /^[a-zA-Z][a-zA-Z0-9+.-]*$/

/** Those of the specification, and as Node writes the last. */
const HTTP_VERSIONS = ['1.0', '1.1', '2', '2.0']

function checkScheme (scheme) {
  if (scheme === undefined || scheme === null) return undefined
  if (typeof scheme !== 'string' || !SCHEME.test(scheme)) throw invalid('`scheme` must be the scheme of a url, such as https')
  return scheme.toLowerCase()
}

function checkHttpVersion (version) {
  if (version !== undefined && version !== null && !HTTP_VERSIONS.includes(version)) throw invalid(`\`httpVersion\` must be one of ${HTTP_VERSIONS.join(', ')}`)
}

/** Scheme, HTTP version, client and server: `\nscheme\nversion\nhost\nport\nhost\nport`. */
function factLines ({ socket, scheme, httpVersion }, target) {
  const isSocket = socket !== undefined && socket !== null
  if (isSocket && typeof socket !== 'object') throw invalid('`socket` must be an object')
  checkHttpVersion(httpVersion)
  scheme = checkScheme(scheme) ?? (target.scheme || (isSocket && socket.encrypted === true ? 'https' : 'http'))
  const lines = `\n${scheme}\n${httpVersion ?? '1.1'}`
  if (!isSocket) return lines + serverLine(scheme, target.authority || fields.host)
  let addresses = socketLines.get(socket)
  if (addresses === undefined) {
    const { remoteAddress, remotePort, localAddress, localPort } = socket
    addresses = `\n${addressOf('remoteAddress', remoteAddress)}\n${portOf('remotePort', remotePort)}` +
      `\n${addressOf('localAddress', localAddress)}\n${portOf('localPort', localPort)}`
    if (Object.isFrozen(socket)) socketLines.set(socket, addresses)
  }
  return lines + addresses
}

function addressOf (name, address) {
  if (address === undefined || address === null) return ''
  if (typeof address !== 'string') throw invalid(`\`socket.${name}\` must be a string`)
  if (CONTROL.test(address)) throw invalid('`socket` holds a control character')
  // The path of a unix socket may be anything: UTF-8.
  return BEYOND_ASCII.test(address) ? Buffer.from(address).latin1Slice() : address
}

function portOf (name, port) {
  if (port === undefined || port === null) return ''
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw invalid(`\`socket.${name}\` must be an integer from 0 to 65535`)
  return port
}

/** No client, and the server that the request names. */
function serverLine (scheme, authority) {
  if (authority === null || authority === '') return '\n\n\n\n'
  const key = `${scheme} ${authority}`
  let line = serverLines.get(key)
  if (line === undefined) {
    const server = serverOf(scheme, authority)
    line = server === null ? '\n\n\n\n' : `\n\n\n${server.host}\n${server.port}`
    if (serverLines.size < SERVERS_KEPT) serverLines.set(key, line)
  }
  return line
}

/** What has no place in latin-1, as JSON. */
function extraOf ({ rootPath, state, extensions }, docroot) {
  if (rootPath === undefined && docroot === null && state === undefined && extensions === undefined) return undefined
  if (rootPath !== undefined && typeof rootPath !== 'string') throw invalid('`rootPath` must be a string')
  if (rootPath && !rootPath.startsWith('/')) throw invalid('`rootPath` must be empty or begin with a slash')
  const parts = [`"rootPath":${JSON.stringify(rootPath?.toWellFormed().replace(/\/+$/, '') ?? null)}`, `"docroot":${JSON.stringify(docroot)}`]
  if (state !== undefined && state !== null) parts.push(`"state":${toJson('state', state)}`)
  if (extensions !== undefined && extensions !== null) parts.push(`"extensions":${toJson('extensions', extensions)}`)
  return `{${parts.join()}}`
}

module.exports = { cross }

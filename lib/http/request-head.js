'use strict'

/**
 * What the head of a Node request says, in the form `Request` takes: target, mount prefix, header pairs, and
 * how the body is framed. Refuses what could be framed in two ways, so that nothing ambiguous reaches the
 * application or a server behind it.
 */

const { PythonHandlerError } = require('../errors.js')
const { expectsContinue, isHttp2 } = require('./protocol.js')

const ABSOLUTE_FORM = /^https?:\/\/([^/?#@\\\s]+)(?=[/?#]|$)(.*)$/i
const CODINGS = new Set(['content-encoding', 'content-length', 'transfer-encoding'])
const DIGITS = /^\d+$/
const TRAILERS = /(^|,)\s*trailers\s*(,|;|$)/i

class RequestHead {
  /** The request target: path and query, or `*`. */
  url
  /** Where Express or Connect mounted the listener, decoded; '' at the root. */
  rootPath = ''
  /** Alternating names and values in the order received. */
  headers
  /** Whether a body follows. */
  hasBody = false
  /** Its length as announced, -1 where only its end will tell. */
  contentLength = -1
  /** Whether the client waits for `100 Continue`. */
  expectsContinue = false
  /** Whether it takes trailers (`TE: trailers`). */
  takesTrailers = false

  constructor (req) {
    if (isHttp2(req)) this.#readHttp2(req)
    else this.#readHttp1(req)
  }

  #readHttp1 (req) {
    const { rawHeaders } = req
    if (req.httpVersionMajor !== 1) {
      throw new PythonHandlerError('ERR_PYTHON_UNSUPPORTED_PROTOCOL', `request line of HTTP/${req.httpVersion}`)
    }
    // Where their values are.
    let host = -1
    let coding = -1
    let length = -1
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i]
      // Only names of these lengths can be one of these: no lower-casing for the others.
      switch (name.length) {
        case 2:
          if (name.toLowerCase() === 'te') this.takesTrailers ||= TRAILERS.test(rawHeaders[i + 1])
          break
        case 4:
          if (name.toLowerCase() === 'host') host = only(host, name, i)
          break
        case 6:
          if (name.toLowerCase() === 'expect') this.expectsContinue ||= expectsContinue(rawHeaders[i + 1])
          break
        case 14:
          if (name.toLowerCase() === 'content-length') length = only(length, name, i)
          break
        case 17:
          if (name.toLowerCase() === 'transfer-encoding') coding = only(coding, name, i)
          break
      }
    }
    this.headers = rawHeaders
    // Trailers end a chunked body, which HTTP/1.0 does not have, nor interim responses.
    if (req.httpVersionMinor === 0) this.takesTrailers = this.expectsContinue = false
    if (coding !== -1) {
      if (length !== -1) throw refusal('`content-length` and `transfer-encoding` in one request')
      // RFC 9112, 6.1: the framing of such a message counts as faulty.
      if (req.httpVersionMinor === 0) throw refusal('`transfer-encoding` in an HTTP/1.0 request')
      if (rawHeaders[coding].trim().toLowerCase() !== 'chunked') {
        throw new PythonHandlerError('ERR_PYTHON_UNSUPPORTED_CODING', `transfer coding is not supported: ${rawHeaders[coding]}`)
      }
      this.hasBody = true
    } else if (length !== -1) {
      this.#readLength(rawHeaders[length])
      this.hasBody = this.contentLength > 0
    }
    const authority = this.#readTarget(req)
    // RFC 9112, 3.2.2: the authority of an absolute target counts, not the Host header.
    if (authority !== null) {
      this.headers = host === -1 ? ['Host', authority, ...rawHeaders] : rawHeaders.with(host, authority)
    }
  }

  #readHttp2 (req) {
    const { rawHeaders } = req
    const headers = []
    let authority = null
    let cookie = -1
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i]
      const value = rawHeaders[i + 1]
      if (name === ':authority') authority = value
      else if (name === 'te') this.takesTrailers ||= TRAILERS.test(value)
      else if (name === 'expect') this.expectsContinue ||= expectsContinue(value)
      else if (name === 'content-length') this.#readLength(value)
      if (name === 'cookie' && cookie !== -1) headers[cookie] += `; ${value}`
      else if (name[0] !== ':') {
        // RFC 9113, 8.2.3: clients split it, and applications know one field.
        if (name === 'cookie') cookie = headers.length + 1
        headers.push(name, value)
      }
    }
    this.headers = authority === null
      ? headers
      : ['host', authority, ...headers.filter((_, i) => headers[i & ~1] !== 'host')]
    this.hasBody = !req.stream.endAfterHeaders
    this.#readTarget(req)
  }

  /** Middleware that has read the body has undone its codings. */
  bodyWasRead ({ length }) {
    if (length === this.contentLength) return
    const { headers } = this
    this.headers = headers.filter((_, i) => !CODINGS.has(headers[i & ~1].toLowerCase()))
    this.headers.push('content-length', String(length))
  }

  #readLength (digits) {
    if (!DIGITS.test(digits)) throw refusal(`\`content-length\` is not a number: ${digits}`)
    this.contentLength = Number(digits)
  }

  /** Sets `url` and `rootPath`; returns the authority of an absolute target, or null. */
  #readTarget (req) {
    const { url, originalUrl } = req
    if (originalUrl === undefined || originalUrl === url) {
      if (url[0] === '/') {
        this.url = url
        return null
      }
      if (url === '*' && req.method === 'OPTIONS') {
        this.url = url
        return null
      }
    }
    const target = originForm(url)
    this.url = target.path
    if (originalUrl !== undefined && originalUrl !== url) {
      this.#readMount(target.path, originForm(originalUrl).path, req.baseUrl)
    }
    return target.authority
  }

  /**
   * Express says the prefix it cut off (`baseUrl`), Connect does not; both add a slash where nothing is left.
   * What a middleware rewrote in `req.url` counts.
   */
  #readMount (url, originalUrl, baseUrl) {
    const bare = url.slice(1)
    let prefix = ''
    if (typeof baseUrl === 'string') prefix = baseUrl
    else if (originalUrl.endsWith(url)) prefix = originalUrl.slice(0, -url.length)
    else if (originalUrl.endsWith(bare)) prefix = originalUrl.slice(0, originalUrl.length - bare.length)
    this.url = originalUrl === prefix + bare ? originalUrl : prefix + url
    this.rootPath = decoded(prefix)
  }
}

function originForm (target) {
  if (target[0] === '/') return { path: target, authority: null }
  const match = ABSOLUTE_FORM.exec(target)
  if (match === null) throw refusal(`request target is neither a path nor an http url: ${target}`)
  const [, authority, rest] = match
  return { path: rest[0] === '/' ? rest : `/${rest}`, authority }
}

function decoded (prefix) {
  if (!prefix.includes('%')) return prefix
  try {
    return decodeURIComponent(prefix)
  } catch {
    return prefix
  }
}

/** Where the value of the header at `at` is: there must have been none before. */
function only (before, name, at) {
  if (before !== -1) throw refusal(`repeated header: ${name}`)
  return at + 1
}

function refusal (message) {
  return new PythonHandlerError('ERR_PYTHON_INVALID_REQUEST', message)
}

module.exports = { RequestHead }

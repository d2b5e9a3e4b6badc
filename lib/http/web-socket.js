'use strict'

/**
 * WebSockets of a Node server for an application: `ws` speaks the protocol, the application decides. Its accept comes
 * before the 101, its refusal or denial is an HTTP response. Runs on the JS thread; nothing it does may throw into the
 * server.
 */

const { Call, MESSAGE_COST } = require('../call.js')
const { PythonHandlerError } = require('../errors.js')
const { PythonHandler } = require('../handler.js')
const { Headers } = require('../headers.js')
const { LONGEST, amount, checkOptions, duration, flag, invalid, text } = require('../options.js')
const { Request } = require('../request.js')
const { ClientSignal, clientDisconnected } = require('../client-signal.js')
const { Connection } = require('./connection.js')
const { Failure, logFailure, mismatch, tell } = require('./failure.js')
const { KeepAlive } = require('./keep-alive.js')
const { CONNECTION_FIELDS } = require('./protocol.js')
const { RequestHead } = require('./request-head.js')
const { ResponseHead } = require('./response-head.js')
const { claim, hasBody, respond, route, unroute } = require('./upgrade-route.js')
const { TOO_LARGE, faultOf, loadWs, onEnd, stopAtError, takesOffers } = require('./ws.js')

/** uvicorn's: a message of 16 MiB, a ping every 20 s, a sign of life within another 20 s. */
const MAX_PAYLOAD = 16 * 2 ** 20
const PING_INTERVAL = 20_000

/** Frames that come before the accept are kept up to this, which is Node's own high-water mark for a socket. */
const EARLY_LIMIT = 64 * 1024

/** Close codes (RFC 6455 7.4.1): a server that stops, a broken connection, a failed application. */
const GOING_AWAY = 1001
const ABNORMAL = 1006
const INTERNAL_ERROR = 1011

/** Fields of an accept that are the connection's: `ws` writes them, or none is allowed (RFC 9110, 8.6). */
const HANDSHAKE_FIELDS = new Set([
  ...CONNECTION_FIELDS, 'content-length', 'sec-websocket-accept', 'sec-websocket-extensions', 'sec-websocket-protocol'
])

const OWN_SERVER = 'the server is the first argument, which listens by itself'

/** Options of `ws` that would do nothing here, and what to do instead. */
const REFUSED_OPTIONS = {
  verifyClient: 'check the client in the application, or in an \'upgrade\' listener of the server\'s before',
  handleProtocols: 'the application chooses the subprotocol',
  noServer: OWN_SERVER,
  server: OWN_SERVER,
  host: OWN_SERVER,
  port: OWN_SERVER,
  backlog: OWN_SERVER
}

/** A key is 16 bytes in base64 (RFC 6455 4.1). */
const KEY = /^[+/0-9a-z]{22}==$/i

/** What a 426 has to say (RFC 9110, 15.5.22 and 7.8). */
const UPGRADE_REQUIRED = { connection: 'Upgrade, close', upgrade: 'websocket', 'sec-websocket-version': '13' }

const kHeaders = Symbol('python-node accept headers')

/** What was attached to each server. */
const contextsOf = new WeakMap()

/**
 * Options of {@link attachWebSocket}. Further ones are those of `ws`'s `WebSocketServer`, except those that would do
 * nothing: `verifyClient` (check the client in the application, or in an 'upgrade' listener of the server's before),
 * `handleProtocols` (the application chooses), `server`, `noServer`, `host`, `port` and `backlog`.
 *
 * @typedef WebSocketOptions
 * @property path Only WebSockets of this path, which begins with a slash and has no query, are served. Default: those of every
 *   path.
 * @property maxPayload Bytes of a message of the client, after decompression; a longer one closes with 1009. 0 or `Infinity`:
 *   any. Default: 16 MiB.
 * @property perMessageDeflate Whether compression is negotiated with clients that offer it, or `ws`'s options of it. Default:
 *   `true`.
 * @property pingInterval Milliseconds between pings. A client that sends nothing from one to the next, not even the answer, is
 *   cut, and the application receives `websocket.disconnect` with 1006. 0 or `Infinity`: no pings. Default: 20000.
 * @property onError Called for each WebSocket that failed; before the accept with the response it is going to be answered with,
 *   after it with null. Return `true` to answer it yourself.
 *
 *   Default: as that of {@link RequestListenerOptions}.
 * @property exposeErrors Whether the answer to a failed handshake shows the error. As that of {@link RequestListenerOptions}.
 */

/**
 * What {@link attachWebSocket} gives.
 *
 * @typedef WebSocketAttachment
 * @property close Serves no more WebSockets, and closes those that are open with 1001.
 */

/**
 * Serves the WebSockets of a server with the handler's application, by the package `ws`: `npm install ws`.
 *
 * The application decides before the client is answered: an accept with its subprotocol and headers (without those that
 * are the connection's or the handshake's), a refusal (403), or a response of its own. Messages are held back in both directions while the other side does not take them.
 *
 * Several handlers on one server: each with its `path`; one without serves the rest. A path that nobody serves is a 404,
 * an upgrade to another protocol is ignored: the server gets the request without it, and its connection goes on. Neither
 * where the server has 'upgrade' listeners of others. Browsers let pages of every origin open WebSockets, with cookies: check `origin` in the application.
 *
 * A connection that is closed for what the client sent, as below, is a `websocket.disconnect` with that code.
 *
 * | failure | the client gets |
 * | --- | --- |
 * | malformed handshake or offer in it, one with a body, one of HTTP/1.0 | 400; 426 for another version |
 * | the application failed before the accept | the status of {@link createRequestListener}'s table |
 * | it failed after the accept | 1011 |
 * | its refusal is shorter or longer than its `content-length` | the connection is cut (`ERR_PYTHON_CONTENT_LENGTH_MISMATCH`) |
 * | message above `maxPayload` or the handler's `maxMessageSize` | 1009 |
 * | message of more fragments than `ws` takes (its option `maxFragments`, 16384) | 1008 |
 * | text that is no UTF-8, a message that cannot be decompressed | 1007 |
 * | frames that break the protocol | 1002 |
 * | the handler closes | 1001 |
 *
 * @param server One of `node:http` or `node:https`, or of `node:http2` with `allowHTTP1`: WebSockets are HTTP/1.1.
 * @throws {PythonHandlerError} `ERR_PYTHON_WS_NOT_FOUND` without the package `ws`; `ERR_PYTHON_INVALID_ARGUMENT`
 *
 * @example
 * ```js
 * const http = require('node:http')
 * const { PythonHandler } = require('@platformatic/python-node')
 * const { attachWebSocket, createRequestListener } = require('@platformatic/python-node/http')
 *
 * const handler = new PythonHandler({ docroot: __dirname, appTarget: 'main:app' })
 * const server = http.createServer(createRequestListener(handler))
 * attachWebSocket(server, handler, { pingInterval: 30_000 })
 * server.listen(3000)
 * ```
 */
function attachWebSocket (server, handler, options = {}) {
  if (typeof server?.on !== 'function') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`server` must be a server of node:http or node:https')
  }
  if (!(handler instanceof PythonHandler)) {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`handler` must be a PythonHandler')
  }
  checkOptions(options)
  for (const [name, instead] of Object.entries(REFUSED_OPTIONS)) {
    if ((options[name] ?? undefined) !== undefined) throw invalid(`\`${name}\` is no option: ${instead}`)
  }
  const { onError = logFailure } = options
  if (typeof onError !== 'function') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`onError` must be a function')
  }
  const exposeErrors = flag(options, 'exposeErrors', true)
  const path = text(options, 'path', undefined)
  if (path !== undefined && !/^\/[^?]*$/.test(path)) throw invalid('`path` must begin with a slash and have no query')
  const maxPayload = amount(options, 'maxPayload', MAX_PAYLOAD)
  const pingInterval = duration(options, 'pingInterval', PING_INTERVAL)
  const { WebSocketServer } = loadWs()
  const sockets = new WebSocketServer({
    perMessageDeflate: true,
    ...options,
    // Whose path it is, is known already.
    path: null,
    // `ws` takes its lower 32 bits, and 0 for none.
    maxPayload: maxPayload > LONGEST ? 0 : maxPayload,
    noServer: true,
    // The application has chosen already.
    handleProtocols: (_offered, req) => req[kHeaders].subprotocol ?? false
  })
  sockets.on('headers', (lines, req) => {
    for (const line of req[kHeaders].lines) lines.push(line)
  })
  const upgrades = new KeepAlive(pingInterval)
  const context = {
    handler,
    service: PythonHandler.serviceOf(handler),
    sockets,
    upgrades,
    onError,
    exposeErrors: exposeErrors && process.env.NODE_ENV !== 'production'
  }
  const upgrade = (req, socket, head) => {
    if (claim(server, upgrade, req, socket, head)) new Upgrade(context, req, socket, head).run()
  }
  route(server, upgrade, path)
  if (!contextsOf.has(server)) contextsOf.set(server, new Set())
  contextsOf.get(server).add(context)
  const close = () => {
    unroute(server, upgrade)
    for (const each of upgrades) each.leave()
  }
  return { close }
}

/** Ends the connections of a server's WebSockets, whatever their state. */
function cutWebSockets (server) {
  for (const { upgrades } of contextsOf.get(server) ?? []) {
    for (const upgrade of upgrades) upgrade.cut()
  }
}

/** @returns {Promise<void>} when the connections of a server's WebSockets for `handler` have ended */
async function webSocketsEnded (server, handler) {
  const contexts = [...contextsOf.get(server) ?? []].filter(context => context.handler === handler)
  await Promise.all(contexts.map(({ upgrades }) => upgrades.none()))
}

/** One WebSocket, from the 'upgrade' event to the end of its connection. */
class Upgrade {
  #context
  #req
  #socket
  /** What came before the accept: it belongs to the first frames. */
  #early
  #earlyLength
  #call = null
  #webSocket = null
  #res = null
  #response = null
  #leaving = false
  /** Whether a close frame of ours was sent: no message follows it, in either direction. */
  #hasLeft = false
  #bytesSeen = -1
  #signal = new ClientSignal()
  #lost = () => {
    this.#signal.abort(clientDisconnected())
    this.#response?.cancel()
  }

  #keep = chunk => {
    this.#early.push(chunk)
    this.#earlyLength += chunk.length
    if (this.#earlyLength >= EARLY_LIMIT) this.#socket.pause()
  }

  constructor (context, req, socket, head) {
    this.#context = context
    this.#req = req
    this.#socket = socket
    this.#early = [head]
    this.#earlyLength = head.length
  }

  /** Never throws. */
  run () {
    const socket = this.#socket
    const { upgrades } = this.#context
    upgrades.add(this)
    socket.on('close', () => upgrades.delete(this))
    socket.on('error', ignore)
    socket.on('close', this.#lost)
    // Unread, it would hide that the client leaves.
    socket.on('data', this.#keep)
    socket.on('end', destroySoon)
    try {
      const { method, httpVersion, headers: { 'sec-websocket-key': key = '', 'sec-websocket-version': version } } = this.#req
      // HTTP/1.0 has no upgrade (RFC 9110, 7.8), and what a body would be is the first frames.
      if (method !== 'GET' || httpVersion === '1.0' || hasBody(this.#req)) return this.#answer(400)
      if (version !== '13' && version !== '8') return this.#answer(426, UPGRADE_REQUIRED)
      if (!KEY.test(key) || !takesOffers(this.#req.headers)) return this.#answer(400)
      const request = this.#describe()
      this.#call = new Call(this.#context.service, this.#signal, response => this.#refused(response), error => this.#failed(error))
      this.#call.attachSocket({
        accepted: headers => this.#accepted(headers),
        message: (text, bytes) => this.#message(text, bytes),
        drained: () => this.#webSocket?.resume(),
        closed: (code, reason) => this.#close(code, reason),
        failed: error => this.#failed(error),
        goAway: () => this.leave()
      })
      this.#call.submit(request, true)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Says goodbye, at once or as soon as the WebSocket is open. */
  leave () {
    this.#leaving = true
    this.#close(GOING_AWAY, '')
  }

  cut () {
    this.#socket.destroy()
  }

  /** Ends a connection that gave nothing since the last ping, and pings any other. */
  ping () {
    const webSocket = this.#webSocket
    // One that is not read, because the application has no time, cannot answer.
    if (webSocket === null || webSocket.isPaused) return
    const { bytesRead } = this.#socket
    if (bytesRead === this.#bytesSeen) return this.cut()
    this.#bytesSeen = bytesRead
    webSocket.ping()
  }

  #describe () {
    const req = this.#req
    const connection = Connection.of(req)
    const { url, rootPath, headers } = new RequestHead(req)
    return new Request({
      method: 'GET',
      url,
      headers: Headers.fromRaw(headers),
      websocket: true,
      socket: connection?.facts,
      httpVersion: req.httpVersion,
      scheme: connection?.encrypted ? 'wss' : 'ws',
      rootPath: rootPath === '' ? undefined : rootPath,
      extensions: connection?.extensions
    })
  }

  #accepted (headers) {
    try {
      this.#shakeHands(headers)
    } catch (error) {
      this.#failed(error)
    }
    // Refused after all, by `ws` (an extension offered with parameters that it does not take) or a failure.
    if (this.#webSocket === null) this.#call.close(ABNORMAL, '')
  }

  #shakeHands (headers) {
    const req = this.#req
    const socket = this.#socket
    const lines = []
    for (const [name, value] of headers) {
      if (!HANDSHAKE_FIELDS.has(name)) lines.push(`${name}: ${value}`)
    }
    req[kHeaders] = { subprotocol: headers.get('sec-websocket-protocol'), lines }
    const early = Buffer.concat(this.#early)
    this.#release()
    // `ws` writes the head as text; the application's header values are bytes.
    socket.setDefaultEncoding('latin1')
    try {
      this.#context.sockets.handleUpgrade(req, socket, early, webSocket => this.#open(webSocket))
    } finally {
      socket.setDefaultEncoding('utf8')
    }
  }

  /** Somebody else reads the connection from now on. */
  #release () {
    this.#early = []
    this.#socket.off('data', this.#keep)
  }

  #open (webSocket) {
    this.#webSocket = webSocket
    const socket = this.#socket
    socket.off('end', destroySoon)
    socket.off('close', this.#lost)
    stopAtError(webSocket)
    onEnd(webSocket, (code, reason) => this.#call.close(code, reason))
    webSocket.on('error', error => {
      const fault = faultOf(error)
      if (fault !== null) this.#call.close(fault, '')
    })
    webSocket.on('message', (data, isBinary) => {
      // Not by `readyState`: `ws` is closing once the client is, while messages before that are still decompressed.
      if (this.#hasLeft) return
      this.#call.write(data, !isBinary).catch(ignore)
      if (!this.#call.hasRoom && webSocket.readyState === webSocket.OPEN) webSocket.pause()
    })
    webSocket.on('close', (code, reason) => this.#call.close(code, reason.toString()))
    // `#keep` may have paused it, which listeners of `ws` do not undo.
    socket.resume()
    if (this.#leaving) this.leave()
  }

  #message (text, bytes) {
    // Reported as taken when the network has it: that is what holds the application back, also after a close frame.
    this.#webSocket.send(bytes, { binary: !text }, error => {
      if (!error) this.#call.consume(bytes.length + MESSAGE_COST)
    })
  }

  #close (code, reason) {
    const webSocket = this.#webSocket
    if (webSocket === null) return
    this.#hasLeft = true
    webSocket.close(code, reason)
    // The client's answer has to be read.
    webSocket.resume()
  }

  #failed (error) {
    if (this.#signal.aborted) return
    if (this.#webSocket !== null) this.#failOpen(error)
    else if (this.#res !== null) this.#breakOff(error)
    else this.#failHandshake(error)
  }

  #failOpen (error) {
    switch (error?.code) {
      case 'ERR_PYTHON_CLOSED': return this.#close(GOING_AWAY, '')
      case 'ERR_PYTHON_MESSAGE_TOO_LARGE': return this.#close(TOO_LARGE, '')
    }
    this.#close(INTERNAL_ERROR, '')
    this.#report(error, null, 500)
  }

  #failHandshake (error) {
    const failure = new Failure(error, this.#call === null)
    const res = this.#respond()
    if (this.#report(error, res, failure.status) || res.headersSent) return
    failure.answer(this.#req, res, this.#context.exposeErrors)
  }

  #breakOff (error) {
    this.#socket.destroy()
    this.#response?.cancel()
    this.#report(error, this.#res, 500)
  }

  /** @returns {boolean} whether it is answered there */
  #report (error, res, status) {
    try {
      return tell(this.#context.onError, error, this.#req, res, { status })
    } catch (cause) {
      console.error(cause)
      return false
    }
  }

  /** The application's own response instead of a WebSocket. */
  async #refused (response) {
    this.#response = response
    const res = this.#respond()
    try {
      const head = new ResponseHead(this.#req, response)
      head.write(this.#req, res, response.complete ? response.body.length : -1)
      const announced = head.bodiless ? -1 : head.contentLength
      let length = 0
      for (let chunk = await response.next(); chunk !== null; chunk = await response.next()) {
        length += chunk.length
        if (announced !== -1 && length > announced) throw mismatch(announced, length)
        if (!res.write(chunk)) await drained(this.#socket)
      }
      if (announced !== -1 && length < announced) throw mismatch(announced, length)
      res.end()
    } catch (error) {
      if (this.#signal.aborted) return
      if (res.headersSent) this.#breakOff(error)
      else this.#invalid(error, res)
    }
  }

  /** A head that cannot be sent. */
  #invalid (error, res) {
    this.#response.cancel()
    if (this.#report(error, res, 500) || res.headersSent) return
    new Failure(error, false).answer(this.#req, res, this.#context.exposeErrors)
  }

  #answer (status, headers) {
    const res = this.#respond()
    res.writeHead(status, headers)
    res.end()
  }

  #respond () {
    this.#release()
    this.#socket.resume()
    return (this.#res = respond(this.#req, this.#socket))
  }
}

/** Waits until a socket takes more, or is gone. Node's server no longer tells its response. */
function drained (socket) {
  if (socket.destroyed || !socket.writableNeedDrain) return Promise.resolve()
  return new Promise(resolve => {
    const done = () => {
      socket.off('drain', done).off('close', done)
      resolve()
    }
    socket.on('drain', done).on('close', done)
  })
}

/** A client that ends its side has left, as to Node's own server. */
function destroySoon () {
  this.destroySoon()
}

/** 'close' follows, and tells. */
function ignore () {}

module.exports = { attachWebSocket, cutWebSockets, webSocketsEnded }

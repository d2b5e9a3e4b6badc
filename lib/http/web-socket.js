'use strict'

/**
 * WebSockets of a Node server for an application: `ws` speaks the protocol, the application decides. Its accept comes
 * before the 101, its refusal or denial is an HTTP response. Runs on the JS thread; nothing it does may throw into the
 * server.
 */

const { ServerResponse } = require('node:http')
const { Call } = require('../call.js')
const { PythonHandlerError } = require('../errors.js')
const { PythonHandler } = require('../handler.js')
const { Request } = require('../request.js')
const { ClientSignal, clientDisconnected } = require('./client-signal.js')
const { Connection } = require('./connection.js')
const { Failure, logFailure } = require('./failure.js')
const { RequestHead } = require('./request-head.js')
const { ResponseHead } = require('./response-head.js')

/** uvicorn's: a message of 16 MiB, a ping every 20 s, an answer within 20 s. */
const MAX_PAYLOAD = 16 * 2 ** 20
const PING_INTERVAL = 20_000

/** Close codes (RFC 6455 7.4.1): a failed application, a server that stops. */
const INTERNAL_ERROR = 1011
const GOING_AWAY = 1001

/** A key is 16 bytes in base64 (RFC 6455 4.1). */
const KEY = /^[+/0-9a-z]{22}==$/i

const kHeaders = Symbol('python-node accept headers')

/**
 * Serves the WebSockets of `server` with `handler`'s application.
 *
 * @param {import('node:http').Server} server
 * @param {PythonHandler} handler
 * @param {import('../../http.js').WebSocketOptions} [options]
 * @returns {{ close(): void }}
 */
function attachWebSocket (server, handler, options = {}) {
  if (typeof server?.on !== 'function') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`server` must be a server of node:http or node:https')
  }
  const service = PythonHandler.serviceOf(handler)
  const { WebSocketServer } = loadWs()
  const { onError = logFailure, exposeErrors = true, path, pingInterval = PING_INTERVAL, ...ofWs } = options
  const sockets = new WebSocketServer({
    maxPayload: MAX_PAYLOAD,
    perMessageDeflate: true,
    ...ofWs,
    noServer: true,
    // The application has chosen already.
    handleProtocols: (_offered, req) => req[kHeaders].subprotocol ?? false
  })
  sockets.on('headers', (lines, req) => lines.push(...req[kHeaders].lines))
  const context = { service, sockets, onError, exposeErrors: exposeErrors === true && process.env.NODE_ENV !== 'production' }
  const upgrade = (req, socket, head) => {
    if (path !== undefined && req.url.split('?', 1)[0] !== path) return
    new Upgrade(context, req, socket, head).run()
  }
  server.on('upgrade', upgrade)
  const pinging = pingInterval > 0 ? setInterval(pingAll, pingInterval, sockets) : undefined
  pinging?.unref()
  const close = () => {
    clearInterval(pinging)
    server.off('upgrade', upgrade)
    for (const socket of sockets.clients) socket.close(GOING_AWAY)
  }
  server.once('close', () => clearInterval(pinging))
  return { close }
}

function loadWs () {
  try {
    return require('ws')
  } catch (cause) {
    throw new PythonHandlerError('ERR_PYTHON_WS_NOT_FOUND', 'attachWebSocket needs the package `ws`: npm install ws', { cause })
  }
}

/** Ends connections that did not answer the last ping, and pings the others. */
function pingAll (sockets) {
  for (const socket of sockets.clients) {
    if (socket.isAlive === false) {
      socket.terminate()
    } else {
      socket.isAlive = false
      socket.ping()
    }
  }
}

/** One WebSocket, from the 'upgrade' event to its close. */
class Upgrade {
  #context
  #req
  #socket
  #head
  #call = null
  #webSocket = null
  #signal = new ClientSignal()
  #lost = () => this.#signal.abort(clientDisconnected())

  constructor (context, req, socket, head) {
    this.#context = context
    this.#req = req
    this.#socket = socket
    this.#head = head
  }

  /** Never throws. */
  run () {
    const socket = this.#socket
    socket.on('error', ignore)
    socket.on('close', this.#lost)
    try {
      const { upgrade = '', 'sec-websocket-key': key = '', 'sec-websocket-version': version } = this.#req.headers
      if (this.#req.method !== 'GET' || upgrade.toLowerCase() !== 'websocket') return this.#answer(400)
      if (version !== '13' && version !== '8') return this.#answer(426, { 'sec-websocket-version': '13' })
      if (!KEY.test(key)) return this.#answer(400)
      const request = this.#describe()
      this.#call = new Call(this.#context.service, this.#signal, response => this.#refused(response), error => this.#failed(error))
      this.#call.attachSocket({
        accepted: headers => this.#accepted(headers),
        message: (text, bytes) => this.#message(text, bytes),
        drained: () => this.#webSocket?.resume(),
        closed: (code, reason) => this.#webSocket?.close(code, reason),
        failed: error => this.#failed(error),
        goAway: () => this.#webSocket?.close(GOING_AWAY)
      })
      this.#call.submit(request, true)
    } catch (error) {
      this.#failed(error)
    }
  }

  #describe () {
    const req = this.#req
    const connection = Connection.of(req)
    const { url, rootPath, headers } = new RequestHead(req)
    return new Request({
      method: 'GET',
      url,
      headers,
      websocket: true,
      socket: connection?.facts,
      httpVersion: req.httpVersion,
      scheme: connection?.encrypted ? 'wss' : 'ws',
      rootPath: rootPath === '' ? undefined : rootPath,
      extensions: connection?.extensions
    })
  }

  #accepted (headers) {
    const req = this.#req
    const lines = []
    for (const [name, value] of headers) {
      if (name !== 'sec-websocket-protocol') lines.push(`${name}: ${value}`)
    }
    req[kHeaders] = { subprotocol: headers.get('sec-websocket-protocol'), lines }
    this.#socket.off('close', this.#lost)
    this.#socket.off('error', ignore)
    this.#context.sockets.handleUpgrade(req, this.#socket, this.#head, webSocket => this.#open(webSocket))
    // Refused by `ws` after all (a malformed extension offer): the application is told.
    if (this.#webSocket === null) this.#call.close(1006, '')
  }

  #open (webSocket) {
    this.#webSocket = webSocket
    webSocket.isAlive = true
    webSocket.on('pong', alive)
    webSocket.on('error', ignore)
    webSocket.on('message', (data, isBinary) => {
      webSocket.isAlive = true
      this.#call.write(data, !isBinary).catch(ignore)
      if (!this.#call.hasRoom) webSocket.pause()
    })
    webSocket.on('close', (code, reason) => this.#call.close(code, reason.toString()))
  }

  #message (text, bytes) {
    // Reported as taken when the network has it: that is what holds the application back.
    this.#webSocket.send(bytes, { binary: !text }, () => this.#call.consume(bytes.length))
  }

  #failed (error) {
    if (this.#signal.aborted) return
    const webSocket = this.#webSocket
    const failure = new Failure(error, this.#call === null)
    if (webSocket !== null) {
      const code = error?.code === 'ERR_PYTHON_MESSAGE_TOO_LARGE' ? 1009 : INTERNAL_ERROR
      webSocket.close(error?.code === 'ERR_PYTHON_CLOSED' ? GOING_AWAY : code)
      webSocket.resume()
      if (code === INTERNAL_ERROR) this.#context.onError(error, this.#req, null, { status: 500 })
      return
    }
    const res = this.#response()
    this.#context.onError(error, this.#req, res, { status: failure.status })
    if (!res.headersSent) failure.answer(this.#req, res, this.#context.exposeErrors)
  }

  /** The application's own response instead of a WebSocket. */
  async #refused (response) {
    const res = this.#response()
    try {
      const head = new ResponseHead(this.#req, response)
      const { body } = response
      head.write(this.#req, res, response.complete ? body.length : -1)
      if (response.complete) return res.end(body)
      for (let chunk = await response.next(); chunk !== null; chunk = await response.next()) {
        if (!res.write(chunk)) await new Promise(resolve => res.once('drain', resolve).once('close', resolve))
      }
      res.end()
    } catch (error) {
      this.#context.onError(error, this.#req, res, { status: 500 })
      res.destroy()
    }
  }

  #answer (status, headers) {
    const res = this.#response()
    res.writeHead(status, headers)
    res.end()
  }

  /** Node's own response on the socket that was to be upgraded: it closes afterwards. */
  #response () {
    const res = new ServerResponse(this.#req)
    res.shouldKeepAlive = false
    res.assignSocket(this.#socket)
    res.on('finish', () => this.#socket.end())
    return res
  }
}

function alive () {
  this.isAlive = true
}

/** 'close' follows, and tells. */
function ignore () {}

module.exports = { attachWebSocket }

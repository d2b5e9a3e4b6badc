'use strict'

/**
 * The end of a server in good order: no new connections, what runs may finish, the application shuts down.
 */

const net = require('node:net')
const { checkOptions, invalid } = require('../options.js')
const { Connections } = require('./connections.js')
const { InFlight } = require('./in-flight.js')
const { cutWebSockets, webSocketsEnded } = require('./web-socket.js')
const { clearTimeout, setTimeout } = require('../timers.js')

/** A little less than the ten seconds that container runtimes wait before they kill. */
const TIMEOUT = 8_000

/** The part of it that requests have; the rest is the application's, to shut down. */
const SHARE_OF_REQUESTS = 0.75

/**
 * Options of {@link stopGracefully}.
 *
 * @typedef StopOptions
 * @property timeout Milliseconds for all of it. Requests have three quarters of them, then their connections are cut; the rest
 *   is left to the application's shutdown. 0 to 2147483647. Default: 8000.
 */

/**
 * Stops a server and the handler behind it: takes no more connections, closes those that are idle and WebSockets with 1001,
 * lets requests finish, ends the application's lifespan, closes what is still open. Responses that begin meanwhile say
 * `Connection: close`; requests that come meanwhile are answered with 503.
 *
 * Connections that were accepted before the first {@link createRequestListener} of the process, and have had no request,
 * are not known to it: over HTTP/2, or before their TLS handshake, they stay open.
 *
 * @throws {PythonHandlerError} as a rejection: `ERR_PYTHON_SHUTDOWN` where the application's shutdown failed or did not
 *   end in time, the server is closed nevertheless; `ERR_PYTHON_INVALID_ARGUMENT`
 *
 * @example
 * ```js
 * const http = require('node:http')
 * const { PythonHandler } = require('@platformatic/python-node')
 * const { createRequestListener, stopGracefully } = require('@platformatic/python-node/http')
 *
 * const handler = new PythonHandler({ docroot: __dirname, appTarget: 'main:app' })
 * const server = http.createServer(createRequestListener(handler))
 * server.listen(3000)
 * process.once('SIGTERM', () => stopGracefully(server, handler, { timeout: 8000 }))
 * ```
 */
async function stopGracefully (server, handler, options = {}) {
  if (typeof server?.on !== 'function' || typeof server.close !== 'function') {
    throw invalid('`server` must be a server of node:http, node:https or node:http2')
  }
  if (typeof handler?.handleStream !== 'function') throw invalid('`handler` must be a PythonHandler')
  checkOptions(options)
  const { timeout = TIMEOUT } = options
  if (typeof timeout !== 'number' || !(timeout >= 0 && timeout < 2 ** 31)) {
    throw invalid('`timeout` must be milliseconds')
  }
  let expire
  const expired = new Promise(resolve => { expire = resolve })
  const inFlight = InFlight.of(handler)
  inFlight.isStopping = true
  const closed = stopListening(server)
  const cutting = setTimeout(cut, timeout * SHARE_OF_REQUESTS, server)
  const expiring = setTimeout(expire, timeout)
  try {
    // Takes no more requests, waits for those that run, then ends the lifespan.
    await handler.close({ timeout })
  } finally {
    // What was closed is not yet sent.
    await Promise.race([Promise.all([inFlight.none(), webSocketsEnded(server, handler)]), expired])
    server.close()
    cut(server)
    await Promise.race([closed, expired])
    clearTimeout(cutting)
    clearTimeout(expiring)
  }
}

/**
 * Takes no more connections, and lets those that have a response close after it. Node's own `close` of an HTTP
 * server takes a response that was ended for one that was sent, and destroys its connection.
 */
function stopListening (server) {
  server.keepAliveTimeout = 1
  if ('keepAliveTimeoutBuffer' in server) server.keepAliveTimeoutBuffer = 0
  Connections.of(server).closeIdle()
  return new Promise(resolve => net.Server.prototype.close.call(server, resolve))
}

/** Requests that have not finished see their client leave. */
function cut (server) {
  cutWebSockets(server)
  server.closeAllConnections?.()
  Connections.of(server).destroy()
}

module.exports = { stopGracefully }

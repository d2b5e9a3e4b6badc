'use strict'

/**
 * The connections of each server, from before their first request: a stop has to end also those that never send one, of
 * which some are unknown to Node's server itself (a TLS handshake that does not come, an HTTP/2 session without a stream).
 */

const diagnostics = require('node:diagnostics_channel')
const { Server } = require('node:http')
const { Server: SecureServer } = require('node:https')

const ofServer = new WeakMap()

/** Subscribing once is enough for all listeners. */
let isWatching = false

class Connections {
  /** As they were accepted: under TLS, those that carry it. */
  sockets = new Set()
  /** HTTP/2 sessions. */
  sessions = new Set()

  /** @returns {Connections} */
  static of (server) {
    if (!ofServer.has(server)) ofServer.set(server, new Connections(server))
    return ofServer.get(server)
  }

  /** From now on, no connection of any server is missed. */
  static watch () {
    if (isWatching) return
    isWatching = true
    diagnostics.subscribe('net.server.socket', ({ socket }) => Connections.of(socket.server).#add(socket))
  }

  constructor (server) {
    const speaksHttp2 = !(server instanceof Server) && !(server instanceof SecureServer)
    if (speaksHttp2) server.on('session', session => this.addSession(session))
  }

  #add (socket) {
    this.sockets.add(socket)
    socket.once('close', () => this.sockets.delete(socket))
  }

  addSession (session) {
    if (this.sessions.has(session)) return
    this.sessions.add(session)
    session.once('close', () => this.sessions.delete(session))
  }

  /** Ends those that have no request, and each HTTP/2 session as soon as it has none. */
  closeIdle () {
    for (const session of this.sessions) session.close()
    for (const socket of this.sockets) if (isIdle(socket)) socket.destroySoon()
  }

  destroy () {
    for (const session of this.sessions) session.destroy()
    for (const socket of this.sockets) socket.destroy()
  }
}

/** Under TLS only what has sent nothing. Node's `closeIdleConnections` counts a response as sent that was ended. */
function isIdle (socket) {
  if (socket.bytesRead === 0) return true
  // A WebSocket's has no parser.
  return Boolean(socket.parser) && !socket.parser.incoming && !socket._httpMessage && socket.writableLength === 0
}

module.exports = { Connections }

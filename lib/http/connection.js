'use strict'

/**
 * What all requests of one connection share: its addresses, read once, and one 'close' listener for those requests
 * whose response cannot report the end of the connection itself. Lives on the socket, or the HTTP/2 session, as
 * long as it.
 */

const { Connections } = require('./connections.js')
const { isHttp2 } = require('./protocol.js')
const { tlsFacts } = require('./tls.js')

const kConnection = Symbol('python-node connection')

class Connection {
  #carrier
  #watchers = null

  /**
   * @returns {Connection | null} the one that carries this request; null if it is gone already
   */
  static of (req) {
    // An HTTP/2 session outlives none of its streams, and its `socket` throws once it is destroyed.
    const carrier = isHttp2(req) ? req.stream.session : req.socket
    if (carrier === undefined || carrier.destroyed || req.stream?.destroyed) return null
    return (carrier[kConnection] ??= Connection.#make(carrier, req))
  }

  static #make (carrier, req) {
    const server = carrier.socket?.server ?? carrier.server
    if (isHttp2(req) && server !== undefined) Connections.of(server).addSession(carrier)
    return new Connection(carrier, req.socket, server)
  }

  constructor (carrier, socket, server) {
    this.#carrier = carrier
    this.encrypted = socket.encrypted === true
    this.facts = Object.freeze(socketFacts(socket, server, this.encrypted))
    /** What scopes of this connection say besides: the `tls` extension. */
    this.extensions = this.encrypted ? { tls: tlsFacts(socket) } : undefined
  }

  /** Calls `exchange.connectionLost()` if the connection closes before `unwatch`. */
  watch (exchange) {
    if (this.#watchers === null) {
      this.#watchers = new Set()
      this.#carrier.once('close', () => {
        for (const watcher of this.#watchers) watcher.connectionLost()
      })
    }
    this.#watchers.add(exchange)
  }

  unwatch (exchange) {
    this.#watchers?.delete(exchange)
  }

  /** Whether no other request waits behind this one. */
  isLast (exchange) {
    const others = this.#watchers?.size ?? 0
    return others === 0 || (others === 1 && this.#watchers.has(exchange))
  }
}

function socketFacts (socket, server, encrypted) {
  if (socket.localPort === undefined) {
    const path = unixPath(server)
    if (path !== null) return { localAddress: path, localFamily: 'unix', encrypted }
  }
  return {
    localAddress: socket.localAddress,
    localPort: socket.localPort,
    localFamily: socket.localFamily,
    remoteAddress: socket.remoteAddress,
    remotePort: socket.remotePort,
    remoteFamily: socket.remoteFamily,
    encrypted
  }
}

/** A socket of a Unix server knows no address; its server knows the path. */
function unixPath (server) {
  const address = server?.listening ? server.address() : null
  return typeof address === 'string' ? address : null
}

module.exports = { Connection }

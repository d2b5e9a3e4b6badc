'use strict'

/**
 * What all requests of one socket share: its addresses, read once, and one 'close' listener for those requests
 * whose response cannot report the end of the connection itself. Lives on the socket, as long as it.
 */

const kConnection = Symbol('python-node connection')

class Connection {
  #socket
  #watchers = null

  /** @returns {Connection} the one of this request's socket */
  static of (req) {
    const { socket } = req
    // Under HTTP/2 `socket` is a proxy that passes unknown properties on to the session's socket.
    return (socket[kConnection] ??= new Connection(socket, req))
  }

  constructor (socket, req) {
    this.#socket = socket
    this.encrypted = socket.encrypted === true
    this.facts = Object.freeze(socketFacts(socket, req, this.encrypted))
  }

  /** Calls `exchange.connectionLost()` if the socket closes before `unwatch`. */
  watch (exchange) {
    if (this.#watchers === null) {
      this.#watchers = new Set()
      this.#socket.once('close', () => {
        for (const watcher of this.#watchers) watcher.connectionLost()
      })
    }
    this.#watchers.add(exchange)
  }

  unwatch (exchange) {
    this.#watchers?.delete(exchange)
  }
}

function socketFacts (socket, req, encrypted) {
  if (socket.localPort === undefined) {
    const path = unixPath(socket.server ?? req.stream?.session?.socket.server)
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

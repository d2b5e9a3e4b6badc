'use strict'

/**
 * Who serves an upgrade where several listen: the attachment for its path, else the one for all paths. What none of them
 * serves is answered, or served as the plain request that it also is, unless a listener of somebody else's may take it.
 */

const { ServerResponse, _connectionListener: serveConnection } = require('node:http')

/** On a listener of ours: its path, or null for all. */
const kPath = Symbol('python-node path')

/** On a server that is asked by us as well. */
const kAsked = Symbol('python-node upgrades')

function route (server, listener, path = null) {
  listener[kPath] = path
  server.on('upgrade', listener)
  if (KEEPS_BODIES && server.shouldUpgradeCallback !== undefined && !server[kAsked]) askFirst(server)
}

/** Whether Node goes on to read the body of a request with an offer, and gives a stream of what follows, no connection. */
const KEEPS_BODIES = Number(process.versions.node.split('.', 1)[0]) >= 25

/** What nobody takes, and has a body, stays Node's. (It loses what comes in one packet with the body's end.) */
function askFirst (server) {
  const { shouldUpgradeCallback } = server
  server[kAsked] = true
  server.shouldUpgradeCallback = function (req) {
    return shouldUpgradeCallback.call(this, req) &&
      (isWebSocket(req) || !hasBody(req) || this.listenerCount('request') === 0 || this.listeners('upgrade').some(isOthers))
  }
}

function isOthers (listener) {
  return listener[kPath] === undefined
}

function unroute (server, listener) {
  server.off('upgrade', listener)
}

/**
 * Called by each listener of ours.
 *
 * @returns {boolean} whether `listener` is the one that serves the upgrade
 */
function claim (server, listener, req, socket, head) {
  // Pipelined behind a request that is not answered yet: 101 must not overtake that, and no client may send it so.
  if (socket._httpMessage) {
    socket.destroy()
    return false
  }
  // A listener of somebody else's has answered, or given up the connection.
  if (socket.destroyed || !socket.writable) return false
  const listeners = server.listeners('upgrade')
  const ours = listeners.filter(each => !isOthers(each))
  const taker = isWebSocket(req) ? takerOf(ours, req) : undefined
  if (taker === undefined && ours.length === listeners.length && ours[0] === listener) decline(server, req, socket, head)
  return taker === listener
}

/** A proxy's request names the server in its target (RFC 9112, 3.2.2), and that may leave no path. */
const SERVER = /^https?:\/\/[^/?#]*/i

function takerOf (listeners, req) {
  const path = req.url.replace(SERVER, '').split('?', 1)[0] || '/'
  return listeners.find(each => each[kPath] === path) ?? listeners.find(each => each[kPath] === null)
}

function isWebSocket ({ headers: { upgrade = '' } }) {
  return upgrade.toLowerCase() === 'websocket'
}

function decline (server, req, socket, head) {
  if (!isWebSocket(req) && server.listenerCount('request') > 0) return giveBack(server, req, socket, head)
  socket.on('error', ignore)
  const res = respond(req, socket)
  res.writeHead(isWebSocket(req) ? 404 : 400)
  res.end()
}

/**
 * RFC 9110, 7.8: an upgrade that is not wanted is ignored. Node's parser has let go of the connection behind the head: the
 * server gets it anew, with a head that does not ask, and what came behind it, framed as it was. Not by its 'connection' event:
 * to listeners of others it is the connection that they know.
 */
function giveBack (server, req, socket, rest) {
  const text = headWithoutUpgrade(server, req)
  if (text === null) {
    socket.on('error', ignore)
    respond(req, socket).writeHead(431).end()
    return
  }
  socket.unshift(Buffer.concat([Buffer.from(text, 'latin1'), rest]))
  serveConnection.call(server, socket)
}

/** Names and values that Node keeps of a head, unless the server's `maxHeadersCount` says how many; it drops the others. */
const MAX_HEADER_LINES = 2000

const LINE_BREAK = /[\r\n]/

const OF_UPGRADE = new Set(['http2-settings', 'upgrade'])

/** @returns {string | null} null where Node may not have told all of the head: what frames the body could be missing */
function headWithoutUpgrade ({ maxHeadersCount }, { method, url, httpVersion, rawHeaders }) {
  const limit = typeof maxHeadersCount === 'number' ? maxHeadersCount * 2 : MAX_HEADER_LINES
  if (limit > 0 && rawHeaders.length >= limit) return null
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase()
    if (OF_UPGRADE.has(name)) continue
    const value = name === 'connection' ? withoutUpgrade(rawHeaders[i + 1]) : rawHeaders[i + 1]
    if (name !== 'connection' || value !== '') lines.push(`${rawHeaders[i]}: ${value}`)
  }
  // The lenient parser may take what would end a line here.
  return lines.some(line => LINE_BREAK.test(line)) ? null : `${lines.join('\r\n')}\r\n\r\n`
}

function withoutUpgrade (connection) {
  return connection.split(',').map(token => token.trim()).filter(token => !OF_UPGRADE.has(token.toLowerCase())).join(', ')
}

/** Whether a body follows. It has not been read as one, and cannot be any more. */
function hasBody ({ headers: { 'content-length': length = '0', 'transfer-encoding': coding } }) {
  return length !== '0' || coding !== undefined
}

/** Node's own response on a socket that was to be upgraded: it closes afterwards. Node 26 has a stream in its place for one with a body. */
function respond (req, socket) {
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  res.assignSocket(socket)
  res.on('finish', () => {
    if (socket.destroySoon === undefined) socket.end(() => socket.destroy())
    else socket.destroySoon()
  })
  return res
}

/** 'close' follows. */
function ignore () {}

module.exports = { claim, hasBody, respond, route, unroute }

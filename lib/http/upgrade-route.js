'use strict'

/**
 * Who serves an upgrade where several listen: the attachment for its path, else the one for all paths. What none of them
 * serves is answered, or served as the plain request that it also is, unless a listener of somebody else's may take it.
 */

const { ServerResponse } = require('node:http')

/** On a listener of ours: its path, or null for all. */
const kPath = Symbol('python-node path')

function route (server, listener, path = null) {
  listener[kPath] = path
  server.on('upgrade', listener)
}

function unroute (server, listener) {
  server.off('upgrade', listener)
}

/**
 * Called by each listener of ours.
 *
 * @returns {boolean} whether `listener` is the one that serves the upgrade
 */
function claim (server, listener, req, socket) {
  // Pipelined behind a request that is not answered yet: 101 must not overtake that, and no client may send it so.
  if (socket._httpMessage) {
    socket.destroy()
    return false
  }
  // A listener of somebody else's has answered, or given up the connection.
  if (socket.destroyed || !socket.writable) return false
  const listeners = server.listeners('upgrade')
  const ours = listeners.filter(each => each[kPath] !== undefined)
  const taker = isWebSocket(req) ? takerOf(ours, req) : undefined
  if (taker === undefined && ours.length === listeners.length && ours[0] === listener) decline(server, req, socket)
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

/** RFC 9110, 7.8: an upgrade that is not wanted is ignored. Node has given up the connection, so it closes afterwards. */
function decline (server, req, socket) {
  socket.on('error', ignore)
  const res = respond(req, socket)
  if (!isWebSocket(req) && !hasBody(req) && server.listenerCount('request') > 0) {
    server.emit('request', req, res)
  } else {
    res.writeHead(isWebSocket(req) ? 404 : 400)
    res.end()
  }
}

/** Whether a body follows. It has not been read as one, and cannot be any more. */
function hasBody ({ headers: { 'content-length': length = '0', 'transfer-encoding': coding } }) {
  return length !== '0' || coding !== undefined
}

/** Node's own response on a socket that was to be upgraded: it closes afterwards. */
function respond (req, socket) {
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  res.assignSocket(socket)
  res.on('finish', () => socket.destroySoon())
  return res
}

/** 'close' follows. */
function ignore () {}

module.exports = { claim, hasBody, respond, route, unroute }

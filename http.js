'use strict'

/**
 * The `./http` entry: a Python application behind `node:http`, `node:https`, `node:http2`, Express or Connect.
 */

const { createRequestListener } = require('./lib/http/listener.js')
const { stopGracefully } = require('./lib/http/stop.js')
const { attachWebSocket } = require('./lib/http/web-socket.js')

module.exports = { attachWebSocket, createRequestListener, stopGracefully }

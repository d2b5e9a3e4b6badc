'use strict'

/**
 * The `./http` entry: a Python application behind `node:http`, `node:https`, `node:http2`, Express or Connect.
 */

const { createRequestListener } = require('./lib/http/listener.js')

module.exports = { createRequestListener }

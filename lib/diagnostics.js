'use strict'

// What `node:diagnostics_channel` subscribers are told of each request. Nothing is made where nobody subscribes.

const diagnostics = require('node:diagnostics_channel')

const start = diagnostics.channel('python-node:request:start')
const headers = diagnostics.channel('python-node:request:headers')
const end = diagnostics.channel('python-node:request:end')
const error = diagnostics.channel('python-node:request:error')

/** @returns {boolean} whether anybody wants to know */
function isWatched () {
  return start.hasSubscribers || headers.hasSubscribers || end.hasSubscribers || error.hasSubscribers
}

module.exports = { end, error, headers, isWatched, start }

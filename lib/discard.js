'use strict'

// A body that nobody can have: that of a HEAD, a 204, a 304. Taken, so that the application ends as it would elsewhere.

const { Response } = require('./response.js')
const { clearTimeout, setTimeout } = require('./timers.js')

/** Milliseconds that an application may go on with it. */
const DISCARDING = 1_000

/**
 * @param {Response} response
 * @returns {Promise<void>} when it has ended or was given up; rejects with what broke it off
 */
async function discard (response) {
  Response.skipFiles(response)
  // One of a handler of another class has only `next`.
  const timer = setTimeout(() => response.cancel?.(), DISCARDING).unref()
  try {
    while (await response.next() !== null);
  } finally {
    clearTimeout(timer)
  }
}

module.exports = { discard }

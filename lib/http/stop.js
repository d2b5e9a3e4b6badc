'use strict'

/**
 * The end of a server in good order: no new connections, what runs may finish, the application shuts down.
 */

/** As long as process managers wait before they kill: a little less than ten seconds. */
const TIMEOUT = 8_000

/**
 * @param {import('node:http').Server} server
 * @param {import('../../index.js').PythonHandler} handler
 * @param {{ timeout?: number }} [options] milliseconds for all of it
 * @returns {Promise<void>}
 */
async function stopGracefully (server, handler, { timeout = TIMEOUT } = {}) {
  const deadline = performance.now() + timeout
  const closed = new Promise(resolve => server.close(resolve))
  server.closeIdleConnections?.()
  try {
    // Takes no more requests, waits for those that run, then ends the lifespan.
    await handler.close({ timeout: Math.max(0, deadline - performance.now()) })
  } finally {
    // Keep-alive connections have nothing more to wait for, and cut-off ones would wait for ever.
    server.closeIdleConnections?.()
    const cut = setTimeout(() => server.closeAllConnections?.(), Math.max(0, Math.min(1_000, deadline - performance.now())))
    await closed
    clearTimeout(cut)
  }
}

module.exports = { stopGracefully }

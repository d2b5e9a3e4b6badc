'use strict'

// The demo's server: `node:http` in front of the FastAPI application in main.py. Needs a venv with
// requirements.txt (VIRTUAL_ENV); `npm start` makes one, then calls `serve`.

const { createServer } = require('node:http')
const { PythonHandler } = require('..')
const { createRequestListener, stopGracefully } = require('../http')
const { AddressError, listen, readAddress } = require('./address.js')

// How long the end may take after Ctrl-C, in milliseconds.
const GRACE = 10_000

/** Stops at the first signal: no new connection, running requests finish, the lifespan ends. The second one cuts them. */
function stopOnSignal (server, handler) {
  let stopping = false
  const stop = async () => {
    if (stopping) {
      console.log('cut')
      return server.closeAllConnections()
    }
    stopping = true
    console.log('\nstopping: requests in flight may finish, a second Ctrl-C cuts them')
    try {
      await stopGracefully(server, handler, { timeout: GRACE })
      console.log('stopped')
    } catch (error) {
      console.error(error)
      process.exitCode = 1
    }
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}

function welcome (url) {
  return `
FastAPI runs in this Node process: ${url}
Its documentation:                 ${url}/docs

Try, in another terminal:
  curl '${url}/items/7?q=tea&tags=green&tags=hot'
  curl -i '${url}/items/seven'
  curl '${url}/orders' -H 'content-type: application/json' \\
    -d '{"customer": "Ada", "lines": [{"name": "tea", "price": 3.5, "quantity": 2}]}'
  curl -N '${url}/stream?count=5&delay=0.5'
  curl '${url}/upload' -F 'file=@package.json'

Ctrl-C stops it.`
}

/**
 * Serves the application until a signal comes.
 *
 * @param {{ host: string, port: number }} [address]
 * @returns {Promise<import('node:http').Server>}
 */
async function serve (address = readAddress()) {
  const handler = await PythonHandler.load({ docroot: __dirname, appTarget: 'main:app' })
  const server = createServer(createRequestListener(handler))
  await listen(server, address)
  stopOnSignal(server, handler)
  const { port } = server.address()
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  console.log(welcome(`http://${host}:${port}`))
  return server
}

module.exports = { serve }

if (require.main === module) {
  serve().catch((error) => {
    console.error(error instanceof AddressError ? `error: ${error.message}` : error)
    process.exitCode = 1
  })
}

'use strict'

// Where the demo listens: HOST and PORT, 127.0.0.1:3000 without them.

const { once } = require('node:events')

/** An address that cannot be had: the message is all that its reader needs. */
class AddressError extends Error {
  name = 'AddressError'
}

/**
 * Reads HOST and PORT.
 *
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {{ host: string, port: number }}
 */
function readAddress ({ HOST = '127.0.0.1', PORT = '3000' } = process.env) {
  const port = Number(PORT)
  if (!/^\d+$/.test(PORT) || port > 65535) throw new AddressError(`PORT is no port number: ${PORT}`)
  return { host: HOST, port }
}

/**
 * Starts to listen. Ends at once where the address cannot be had.
 *
 * @param {import('node:http').Server} server
 * @param {{ host: string, port: number }} address
 */
async function listen (server, { host, port }) {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (cause) {
    const message = cause.code === 'EADDRINUSE'
      ? `port ${port} on ${host} is in use: choose another one, for example PORT=${port === 65535 ? 3001 : port + 1} npm start`
      : `cannot listen on ${host}:${port}: ${cause.message}`
    throw new AddressError(message, { cause })
  }
}

module.exports = { AddressError, listen, readAddress }

'use strict'

// granian with uvloop behind undici: over a unix socket where it has `--uds` (BENCH_GRANIAN_UDS,
// set by the parent process), else over loopback TCP.

const { createServer } = require('node:net')
const { join } = require('node:path')
const { startBehindUndici } = require('./undici')

const APPS = join(__dirname, '..', 'apps')

/**
 * @param {string} app the name of a file in apps/
 * @param {{ path: string } | { port: number }} address
 */
function granianServer (app, address) {
  const target = address.path
    ? ['--uds', address.path]
    : ['--host', '127.0.0.1', '--port', String(address.port)]
  return {
    command: process.env.BENCH_PYTHON,
    args: [
      '-m', 'granian', `${app}:app`, ...target,
      '--interface', 'asginl', '--loop', 'uvloop', '--http', '1', '--no-ws',
      '--workers', '1', '--log-level', 'warning'
    ],
    cwd: APPS,
    address
  }
}

async function start (app) {
  const address = process.env.BENCH_GRANIAN_UDS
    ? { path: join(process.env.BENCH_SOCKETS, `granian-${process.pid}.sock`) }
    : { port: await freePort() }
  return startBehindUndici(granianServer(app, address))
}

/** @returns {Promise<number>} a loopback port that was free a moment ago */
function freePort () {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

module.exports = { title: 'undici → granian', start, granianServer, freePort }

'use strict'

// uvicorn with uvloop and httptools behind undici, over a unix socket.

const { join } = require('node:path')
const { startBehindUndici } = require('./undici')

const APPS = join(__dirname, '..', 'apps')

/**
 * @param {string} app the name of a file in apps/
 * @param {{ path: string } | { port: number }} address
 */
function uvicornServer (app, address) {
  const target = address.path
    ? ['--uds', address.path]
    : ['--host', '127.0.0.1', '--port', String(address.port)]
  return {
    command: process.env.BENCH_PYTHON,
    args: [
      '-m', 'uvicorn', `${app}:app`, ...target,
      '--loop', 'uvloop', '--http', 'httptools', '--lifespan', 'off',
      '--no-access-log', '--log-level', 'warning', '--timeout-keep-alive', '75'
    ],
    cwd: APPS,
    address
  }
}

function start (app) {
  const path = join(process.env.BENCH_SOCKETS, `uvicorn-${process.pid}.sock`)
  return startBehindUndici(uvicornServer(app, { path }))
}

module.exports = { title: 'undici → uvicorn', start, uvicornServer }

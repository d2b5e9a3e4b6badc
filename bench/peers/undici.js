'use strict'

// An undici pool in the measured process, in front of a Python server that this process starts.

const { createConnection } = require('node:net')
const { spawn } = require('node:child_process')
const { setTimeout: sleep } = require('node:timers/promises')
const { combinedUsage } = require('../usage')

const START_LIMIT = 20_000
const RETRY_INTERVAL = 5

class UndiciDriver {
  #pool
  #pid
  #socketPath

  constructor (pool, pid, socketPath) {
    this.#pool = pool
    this.#pid = pid
    this.#socketPath = socketPath
  }

  async request ({ method = 'GET', path, headers, body }) {
    const response = await this.#pool.request({ method, path, headers, body })
    return { status: response.statusCode, body: Buffer.from(await response.body.arrayBuffer()) }
  }

  upload (request) {
    return this.request(request)
  }

  async open ({ method = 'GET', path, headers, body }) {
    const response = await this.#pool.request({ method, path, headers, body })
    // Closing the response early is an error for the body's other users, of which there are none.
    response.body.on('error', () => {})
    return { status: response.statusCode, chunks: response.body }
  }

  /** @returns {Promise<WebSocket>} an open one of the `ws` package, over the unix socket */
  connect (path) {
    const { WebSocket } = require(process.env.BENCH_WS)
    const socket = new WebSocket(`ws+unix:${this.#socketPath}:${path}`, { perMessageDeflate: false })
    return new Promise((resolve, reject) => {
      socket.onopen = () => resolve(socket)
      socket.onerror = ({ error }) => reject(error)
    })
  }

  usage () {
    return combinedUsage(this.#pid)
  }
}

/**
 * Starts a server and connects a pool to it.
 * @param {{ command: string, args: string[], cwd: string, address: { path: string } | { port: number } }} server
 * @returns {Promise<UndiciDriver>}
 */
async function startBehindUndici (server) {
  const { Pool } = require(process.env.BENCH_UNDICI)
  const child = await startServer(server)
  const { path, port = 80 } = server.address
  const pool = new Pool(`http://localhost:${port}`, {
    socketPath: path,
    connections: null,
    pipelining: 1,
    keepAliveTimeout: 20_000
  })
  return new UndiciDriver(pool, child.pid, path)
}

/**
 * Starts a server process and waits until it accepts connections.
 * @returns {Promise<import('node:child_process').ChildProcess>}
 */
async function startServer ({ command, args, cwd, address }) {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
  process.on('exit', () => child.kill())
  let failure
  child.on('error', (error) => { failure = error })
  child.on('exit', (code) => { failure = new Error(`${command} ended with code ${code}`) })
  const end = Date.now() + START_LIMIT
  while (!await accepts(address)) {
    if (failure) throw failure
    if (Date.now() > end) throw new Error(`${command} accepts no connections after ${START_LIMIT} ms`)
    await sleep(RETRY_INTERVAL)
  }
  return child
}

function accepts (address) {
  return new Promise((resolve) => {
    const socket = createConnection(address.path ? address : { ...address, host: '127.0.0.1' })
    socket.on('connect', () => { socket.destroy(); resolve(true) })
    socket.on('error', () => resolve(false))
  })
}

module.exports = { startBehindUndici, startServer }

'use strict'

// The parent's end of one peer process (child.js or floor.py): asks, waits for the answer, and ends
// the process and everything it started.

const { spawn } = require('node:child_process')
const { join } = require('node:path')
const { createInterface } = require('node:readline')

const ANSWER_LIMIT = 30_000

const running = new Set()

class Peer {
  #process
  #lines
  #failure

  /** Starts the process; `ready()` tells when it can be asked. */
  constructor (name, app, environment, extra = []) {
    const [command, ...args] = name === 'floor'
      ? [environment.BENCH_PYTHON, join(__dirname, 'floor.py'), app, ...extra]
      : [process.execPath, '--expose-gc', join(__dirname, 'child.js'), name, app, ...extra]
    const env = { ...environment }
    // The published binary finds libpython only by the system's own search.
    if (name === 'published') env.LD_LIBRARY_PATH = environment.BENCH_LIBRARIES
    // A process group of its own, so that the servers it starts end with it.
    this.#process = spawn(command, args, {
      env,
      stdio: ['pipe', 'ignore', process.env.BENCH_DEBUG ? 'inherit' : 'ignore', 'pipe'],
      detached: true
    })
    this.#process.on('error', (error) => { this.#failure = error })
    this.#process.stdin.on('error', () => {})
    this.#lines = createInterface({ input: this.#process.stdio[3] })[Symbol.asyncIterator]()
    running.add(this)
  }

  /** @returns {Promise<void>} when the peer has started its application */
  async ready () {
    await this.#answer()
  }

  /**
   * @param {string} operation a key of operations/index.js
   * @param {object} parameters
   * @returns {Promise<Record<string, number>>}
   */
  async ask (operation, parameters) {
    this.#process.stdin.write(`${JSON.stringify({ operation, parameters })}\n`)
    return (await this.#answer()).result
  }

  close () {
    if (!running.delete(this)) return
    this.#process.stdin.destroy()
    try {
      process.kill(-this.#process.pid, 'SIGKILL')
    } catch (error) {
      if (error.code !== 'ESRCH') throw error
    }
  }

  async #answer () {
    let timer
    const late = new Promise((resolve) => { timer = setTimeout(resolve, ANSWER_LIMIT, { late: true }) })
    const line = await Promise.race([this.#lines.next(), late])
    clearTimeout(timer)
    if (line.late) throw new Error(`no answer within ${ANSWER_LIMIT / 1e3} s`)
    if (line.done) throw this.#failure ?? new Error(await this.#ending())
    const answer = JSON.parse(line.value)
    if (answer.error) throw new Error(answer.error)
    return answer
  }

  async #ending () {
    const { exitCode, signalCode } = this.#process
    if (exitCode === null && signalCode === null) {
      await new Promise((resolve) => this.#process.once('exit', resolve))
    }
    return `the process ended with ${this.#process.signalCode ?? `code ${this.#process.exitCode}`}`
  }
}

/** Ends every peer process that is still running. */
function closeAll () {
  for (const peer of [...running]) peer.close()
}

module.exports = { Peer, closeAll }

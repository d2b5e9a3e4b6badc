'use strict'

// The load generator for HTTP: wrk where the system has it, else autocannon.

const { execFile } = require('node:child_process')
const { promisify } = require('node:util')

const run = promisify(execFile)

/** Milliseconds of the units in which wrk writes a latency. */
const UNITS = { us: 1e-3, ms: 1, s: 1e3, m: 60e3 }

/** @returns {Promise<string | null>} wrk's version, or null when there is no wrk */
async function findWrk () {
  try {
    // It writes its version and then ends with an error, because no URL was given.
    await run('wrk', ['-v'])
  } catch (error) {
    return /^wrk (\S+)/m.exec(error.stdout ?? '')?.[1] ?? null
  }
  return null
}

/**
 * @returns {Promise<{ rate: number, p99: number, requests: number }>} requests/s, milliseconds,
 *   requests answered
 */
function generateLoad (options) {
  return options.environment.BENCH_AUTOCANNON ? autocannon(options) : wrk(options)
}

async function wrk ({ url, connections, seconds }) {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', url]
  const { stdout } = await run('wrk', args)
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout.trim().split('\n').at(-3))
  const [, p99, unit] = /99%\s+([\d.]+)(us|ms|s|m)/.exec(stdout)
  return {
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)[1]),
    p99: Number(p99) * UNITS[unit],
    requests: Number(/(\d+) requests in/.exec(stdout)[1])
  }
}

async function autocannon ({ url, connections, seconds, environment }) {
  const args = ['--json', '--no-progress', '-c', connections, '-d', seconds, url]
  const script = environment.BENCH_AUTOCANNON
  const { stdout } = await run(process.execPath, [script, ...args.map(String)])
  const result = JSON.parse(stdout)
  if (result.errors || result.non2xx) throw new Error(`${result.errors + result.non2xx} failed`)
  return {
    rate: result.requests.average,
    p99: result.latency.p99,
    requests: result.requests.total
  }
}

module.exports = { findWrk, generateLoad }

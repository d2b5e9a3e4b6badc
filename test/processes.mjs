// Runs a fixture many times, each time in a Node process of its own, and sums up how the processes ended:
// called by the tests that concern the life of the process.

import { spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'

/**
 * PYTHON_NODE_RUNS sets how often every case runs: 50 says more than the few of `npm test`.
 * With PYTHON_NODE_BACKTRACE set, what hangs is looked at with gdb before it is killed.
 */
export const runsOf = usual => Number(process.env.PYTHON_NODE_RUNS ?? usual)

/** Where every thread of a process is, as gdb says: for the cases that hang rarely. */
function backtrace (pid) {
  const { stdout, error } = spawnSync('gdb', ['-p', String(pid), '-batch', '-ex', 'thread apply all backtrace 20'], { encoding: 'utf8' })
  return stdout ?? String(error)
}

/**
 * Runs test/fixtures/<name> once.
 *
 * @param {string} name
 * @param {string[]} args
 * @param {{ limit?: number, execArgv?: string[], env?: NodeJS.ProcessEnv }} [options] `limit`: milliseconds, then
 *   it counts as hanging and is killed
 */
export function runFixture (name, args, { limit = 20_000, execArgv = [], env = {} } = {}) {
  const file = fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))
  const own = { ...process.env, ...env }
  // Unbuffered, nothing could be lost.
  delete own.PYTHONUNBUFFERED
  const begin = performance.now()
  const child = spawn(process.execPath, [...execArgv, file, ...args], { env: own, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', text => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', text => { stderr += text })
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    if (process.env.PYTHON_NODE_BACKTRACE) stderr += backtrace(child.pid)
    child.kill('SIGKILL')
  }, limit)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ ended: hung ? 'hangs' : signal ?? code, stdout, stderr, milliseconds: performance.now() - begin })
    })
  })
}

/**
 * Runs a fixture `runs` times, as many at once as there are processors, and counts what differs.
 *
 * @param {(result: object) => string | undefined} judge says what is wrong with a run
 * @returns {Promise<string[]>} `n of runs: what is wrong`, empty if nothing is
 */
export async function countFailures (runs, run, judge) {
  const seen = new Map()
  let left = runs
  const work = async () => {
    while (left > 0) {
      left -= 1
      const result = await run()
      const wrong = judge(result)
      if (wrong !== undefined) seen.set(wrong, [...(seen.get(wrong) ?? []), result])
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return [...seen].map(([wrong, results]) => {
    const { stdout, stderr } = results[0]
    return `${results.length} of ${runs}: ${wrong}\nstdout: ${JSON.stringify(stdout.slice(-500))}\nstderr: ${stderr.slice(-20_000)}`
  })
}

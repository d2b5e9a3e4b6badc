// How a process with Python in it ends: as plain Node's would, within a bounded time, by no signal of its own,
// with Python's buffered output written and its `atexit` functions run where Node's own exit handlers run.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import interpreter from '../lib/interpreter.js'
import { countFailures, runFixture, runsOf } from './processes.mjs'

const { executable } = interpreter.findInterpreter()
const canImport = name => spawnSync(executable, ['-c', `import ${name}`], { stdio: 'ignore' }).status === 0

/** Each way to end, and how plain Node ends then. */
const ENDS = {
  'end of script': 0,
  'process.exit': 3,
  'uncaught exception': 1,
  SIGTERM: 'SIGTERM',
  'SIGTERM with a handler': 4,
  terminate: 0,
  'worker exit': 0
}

/** Milliseconds: start-up on a busy machine, and twice the fixture's `shutdownTimeout`. */
const BOUND = 6_000

/** States in which the Python thread can be asked for nothing any more. */
const STUCK = ['stubborn', 'sleep', 'held']

const STATES = {
  idle: 'idle',
  requests: 'buffered requests in flight',
  streams: 'streams open, one flooded and not read',
  cpu: 'Python computes on the loop\'s thread',
  stubborn: 'Python computes and catches every exception',
  sleep: 'Python blocked in time.sleep',
  held: 'Python blocked in C with the GIL held',
  thread: 'a thread that is no daemon and never ends',
  pool: 'a thread of the executor that never ends',
  subprocess: 'subprocesses of Popen and asyncio',
  asyncio: 'the loop is asyncio\'s',
  uvloop: 'the loop is uvloop\'s',
  numpy: 'OpenBLAS multiplies in daemon threads'
}

/** Those the addon promises for every exit: 50 runs even in `npm test`. */
const OFTEN = [['idle', 'end of script'], ['requests', 'process.exit'], ['requests', 'uncaught exception'],
  ['requests', 'SIGTERM'], ['requests', 'SIGTERM with a handler']]

function judge (state, end) {
  const orderly = end !== 'SIGTERM' && !STUCK.includes(state)
  return ({ ended, stdout, stderr, milliseconds }) => {
    if (ended !== ENDS[end]) return `ended with ${ended}, not ${ENDS[end]}`
    if (!stdout.includes('ready')) return 'did not get ready'
    if (milliseconds > BOUND) return `took more than ${BOUND} ms`
    if (orderly && !stdout.includes('buffered ')) return 'buffered output is lost'
    if (orderly && !stdout.includes('atexit ran')) return 'atexit functions did not run'
    if (end === 'SIGTERM' && stdout.includes('atexit ran')) return 'atexit functions ran'
    if (end === 'uncaught exception' ? !stderr.includes('thrown on purpose') : stderr !== '') return 'wrote to stderr'
  }
}

for (const [state, name] of Object.entries(STATES)) {
  const skip = ['uvloop', 'numpy'].includes(state) && !canImport(state) && `no ${state} in this Python`
  describe(name, { skip }, () => {
    for (const end of Object.keys(ENDS)) {
      const often = OFTEN.some(([one, other]) => one === state && other === end)
      const runs = runsOf(often ? 50 : 2)
      test(`${end}, ${runs} runs`, { timeout: 600_000 }, async () => {
        const failures = await countFailures(runs, () => runFixture('life.mjs', [state, end]), judge(state, end))
        assert.equal(failures.join('\n\n'), '')
      })
    }
  })
}

describe('what keeps Node alive', () => {
  test('a request in flight does, and nothing else', { timeout: 60_000 }, async () => {
    const { ended, stdout } = await runFixture('alive.mjs', ['request'])
    assert.deepEqual([ended, stdout.split('\n')[0]], [0, 'delay0.3'])
  })

  test('a stream whose body is read does', { timeout: 60_000 }, async () => {
    const { ended, stdout } = await runFixture('alive.mjs', ['stream'])
    assert.deepEqual([ended, stdout.split('\n')[0]], [0, 'delay0.3'])
  })

  test('an application that is being imported does', { timeout: 60_000 }, async () => {
    const { ended, stdout } = await runFixture('alive.mjs', ['load'])
    assert.deepEqual([ended, stdout.split('\n')[0]], [0, 'loaded'])
  })

  test('a handler that is idle does not, nor a request given up', { timeout: 60_000 }, async () => {
    const { ended, milliseconds } = await runFixture('alive.mjs', ['abort'])
    assert.equal(ended, 0)
    assert.ok(milliseconds < BOUND, `${milliseconds} ms`)
  })
})

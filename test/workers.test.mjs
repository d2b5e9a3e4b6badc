// Worker threads with handlers of their own, in processes of their own: terminated or exiting under load, many
// rounds, the one Python of the process outlives them all.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { countFailures, runFixture, runsOf } from './processes.mjs'

const ROUNDS = 20
const PROCESSES = 2

const CASES = {
  terminate: 'terminated under load',
  exit: 'ending by process.exit under load',
  load: 'terminated while they import',
  sync: 'terminated while handleRequestSync blocks them'
}

for (const [how, name] of Object.entries(CASES)) {
  describe(`two workers ${name}`, () => {
    for (const main of ['serving', 'idle']) {
      const runs = runsOf(PROCESSES)
      const title = main === 'idle' ? 'the main thread never loads the addon' : 'the main thread serves on'
      test(`${title}, ${runs} × ${ROUNDS} rounds`, { timeout: 600_000 }, async () => {
        const run = () => runFixture('workers.mjs', [how, String(ROUNDS)], { limit: 60_000, env: { MAIN: main } })
        const failures = await countFailures(runs, run, ({ ended, stdout, stderr }) => {
          if (ended !== 0) return `ended with ${ended}`
          if (!stdout.includes(`${ROUNDS} rounds`)) return 'did not run to its end'
          if (!stdout.includes('atexit ran')) return 'atexit functions did not run'
          if (stderr !== '') return 'wrote to stderr'
        })
        assert.equal(failures.join('\n\n'), '')
      })
    }
  })
}

// Scenario: the worker's thread waited for Python, and whoever ended the worker waited for its thread; or the process ended
// before Python had an exit function.
describe('a worker that ends while it waits for Python, the main thread having no handler', () => {
  for (const [how, name] of Object.entries({ load: 'load', construct: 'new PythonHandler', sync: 'handleRequestSync' })) {
    test(`${name}: by process.exit`, { timeout: 60_000 }, async () => {
      const { ended, stderr, milliseconds } = await runFixture('waiting-worker.mjs', [how, 'exit'])
      assert.deepEqual({ ended, stderr }, { ended: 5, stderr: '' })
      assert.ok(milliseconds < 10_000, `${milliseconds} ms`)
    })

    test(`${name}: by terminate`, { timeout: 60_000 }, async () => {
      const { ended, stdout, stderr } = await runFixture('waiting-worker.mjs', [how, 'terminate'])
      assert.deepEqual({ ended, stdout, stderr }, { ended: 0, stdout: 'terminated with 1\n', stderr: '' })
    })
  }
})

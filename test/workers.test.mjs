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

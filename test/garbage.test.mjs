// Handlers collected while their requests run: every request is answered by its own application, whole, and
// nothing of the handlers stays. In a process of its own, with `node --expose-gc`.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countFailures, runFixture, runsOf } from './processes.mjs'

const ROUNDS = 30
const HANDLERS = ROUNDS * 10

/** What a leaked body of each round's largest requests would come to is more than ten times that. */
const GROWTH = 32 * 1024 * 1024

const runs = runsOf(2)

test(`handlers are collected under load, ${runs} runs`, { timeout: 600_000 }, async () => {
  const run = () => runFixture('garbage.mjs', [String(ROUNDS)], { limit: 60_000, execArgv: ['--expose-gc'] })
  const failures = await countFailures(runs, run, ({ ended, stdout }) => {
    if (ended !== 0) return `ended with ${ended}`
    const { answered, collected, growth } = JSON.parse(stdout.match(/\{.*\}/)[0])
    if (answered !== HANDLERS * 21) return `${answered} requests answered`
    if (collected !== HANDLERS) return `${collected} of ${HANDLERS} handlers collected`
    if (growth > GROWTH) return 'memory grows'
  })
  assert.equal(failures.join('\n\n'), '')
})

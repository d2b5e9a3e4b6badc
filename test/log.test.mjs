// `RUST_LOG`: what it shows of a request, and what it never shows. In processes of their own.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runFixture } from './processes.mjs'

const timeout = 30_000

test('the life of each request is shown, without bodies and header values', { timeout }, async () => {
  const { ended, stderr } = await runFixture('log.mjs', [], { env: { RUST_LOG: 'python_node=debug' } })
  assert.equal(ended, 0, stderr)
  const lives = new Map()
  for (const [, id, what] of stderr.matchAll(/request (\d+): (.*)/g)) lives.set(id, [...lives.get(id) ?? [], what])
  assert.deepEqual([...lives.values()], [
    ['accepted', 'scope built', 'started', 'application returned'],
    ['accepted', 'scope built', 'started', "application raised <class 'LookupError'>"],
    ['accepted', 'scope built', 'started', 'disconnected', 'task cancelled', 'application cancelled'],
    ['accepted', 'scope built', 'started', 'application returned']
  ])
  assert.doesNotMatch(stderr, /secret/)
})

test('nothing is shown by default', { timeout }, async () => {
  const { ended, stdout, stderr } = await runFixture('log.mjs', [], { env: { RUST_LOG: undefined } })
  assert.deepEqual({ ended, stdout, stderr }, { ended: 0, stdout: '', stderr: '' })
})

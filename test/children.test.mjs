// Child processes of Node's and of the application's in one process: both learn of them by SIGCHLD, which has one handler.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { timeout } from './fixtures.mjs'
import { runFixture } from './processes.mjs'

const options = { timeout, skip: process.platform === 'win32' }

for (const loop of ['asyncio', 'uvloop']) {
  test(`${loop}: both learn how their own ended, one after another and at once`, options, async () => {
    const { ended, stdout, stderr } = await runFixture('children.mjs', [loop])
    assert.equal(ended, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), [3, 'child0', 3, 'child0', 3, 3, 'child0'])
  })
}

for (const [loops, path, answer, title] of [
  [['uvloop'], '/policy', 'child0', "uvloop's policy, which has no child watcher"],
  [['uvloop'], '/watcher', 'child0', "a child watcher of the application's"],
  [['asyncio', 'uvloop'], '/thread', 'child0', "a loop of uvloop's in a thread of Python's"],
  [['asyncio', 'uvloop'], '/deaf', 'broken', 'a child that has closed its stdin'],
  [['asyncio', 'uvloop'], '/deafened', 'broken', 'a child that closes its stdin while a write waits'],
  // Scenario: closed a second time, what a thread of Node's had opened meanwhile was closed.
  [['asyncio', 'uvloop'], '/pipes', 'open open', 'the descriptor of a pipe is closed once']
]) {
  for (const loop of loops) {
    test(`${loop}: ${title}`, options, async () => {
      const { ended, stdout, stderr } = await runFixture('children.mjs', [loop, path])
      assert.equal(ended, 0, stderr)
      assert.deepEqual(JSON.parse(stdout), [answer, 3])
    })
  }
}

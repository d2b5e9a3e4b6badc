// Child processes of Node's and of the application's in one process: both learn of them by SIGCHLD, which has one handler.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { timeout } from './fixtures.mjs'
import { runFixture } from './processes.mjs'

for (const loop of ['asyncio', 'uvloop']) {
  test(`${loop}: both learn how their own ended, one after another and at once`, { timeout, skip: process.platform === 'win32' }, async () => {
    const { ended, stdout, stderr } = await runFixture('children.mjs', [loop])
    assert.equal(ended, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), [3, 'child0', 3, 'child0', 3, 3, 'child0'])
  })
}

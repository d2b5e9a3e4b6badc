// tools/chaos.js with one seed and little time; `npm run chaos` takes any.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { collect } from './fixtures.mjs'

// uvloop and Node take SIGCHLD from each other (children.test.mjs): with it, the children of this run would hang.
const ARGUMENTS = ['--seed', '7', '--seconds', '9', '--loop', 'asyncio']

test('everything settles once, every body is whole or an error, nothing is left', { timeout: 60_000 }, async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../tools/chaos.js', import.meta.url)), ...ARGUMENTS], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code]] = await Promise.all([collect(child.stdout), collect(child.stderr), once(child, 'exit')])
  assert.equal(code, 0, `${stdout}\n${stderr}`)
})

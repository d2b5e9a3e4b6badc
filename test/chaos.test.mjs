// tools/chaos.js with one seed and little time; `npm run chaos` takes any.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { collect } from './fixtures.mjs'

for (const loop of ['asyncio', 'auto']) {
  test(`everything settles once, every body is whole or an error, nothing is left; loop ${loop}`, { timeout: 60_000 }, async () => {
    const file = fileURLToPath(new URL('../tools/chaos.js', import.meta.url))
    const child = spawn(process.execPath, [file, '--seed', '7', '--seconds', '9', '--loop', loop], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [stdout, stderr, [code]] = await Promise.all([collect(child.stdout), collect(child.stderr), once(child, 'exit')])
    assert.equal(code, 0, `${stdout}\n${stderr}`)
  })
}

// The same binary with several Pythons, each in a process of its own, in a venv and without: what Python says
// inside Node is what it says outside. Every Python of the machine that can be embedded; `npm run test:matrix` runs other
// releases of Node as well.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import combination from '../scripts/matrix/combination.js'
import matrix from '../scripts/matrix/pythons.js'

const { CHECKS, runCombination } = combination
const { findPythons, prepareVenv } = matrix

const directory = mkdtempSync(path.join(tmpdir(), 'python-node-matrix-'))
after(() => rmSync(directory, { recursive: true, force: true }))

const { pythons } = findPythons()

test('there is a Python to embed', () => {
  assert.ok(pythons.length > 0)
})

for (const python of pythons) {
  describe(`Python ${python.name}`, { concurrency: 2 }, () => {
    // The first time it downloads packages.
    let venv
    before(async () => { venv = await prepareVenv(python) }, { timeout: 300_000 })

    for (const withVenv of [false, true]) {
      test(withVenv ? 'in a venv' : 'without a venv', { timeout: 120_000 }, async t => {
        const results = await runCombination({ python, venv, withVenv, directory: mkdtempSync(path.join(directory, 'case-')) })
        t.plan?.(Object.keys(CHECKS).length)
        for (const [name, { passed, note }] of Object.entries(results)) {
          await t.test(name, { skip: passed && note !== '' && note }, () => assert.ok(passed, note))
        }
      })
    }
  })
}

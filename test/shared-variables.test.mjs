// Variables that Node's executable has copied from libc and libstdc++, as extension modules see them: those are
// loaded with RTLD_DEEPBIND, and would find what nobody sets. Each case in a process of its own.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import matrix from '../scripts/matrix/pythons.js'
import { timeout } from './fixtures.mjs'
import { runFixture } from './processes.mjs'

const directory = mkdtempSync(path.join(os.tmpdir(), 'python-node-variables-'))
after(() => rmSync(directory, { recursive: true, force: true }))

const file = path.join(directory, 'shared_variables_native.so')
const elsewhere = os.constants.dlopen.RTLD_DEEPBIND === undefined && 'only glibc has RTLD_DEEPBIND'

/** Says why there is no module, if there is none. */
function compile () {
  const source = fileURLToPath(new URL('fixtures/shared_variables_native.cpp', import.meta.url))
  try {
    execFileSync('c++', ['-shared', '-fPIC', '-o', file, source], { timeout })
    return false
  } catch (error) {
    if (error.code === 'ENOENT') return 'no C++ compiler'
    throw error
  }
}

const skip = elsewhere || compile()

for (const { name, executable } of elsewhere ? [] : matrix.selectFew(matrix.findPythons().pythons)) {
  describe(`Python ${name}`, { concurrency: 2 }, () => {
    const run = async (name, by) => {
      const env = { PYTHONPATH: directory, FILE: file, BY: by }
      const { ended, stdout, stderr } = await runFixture('shared-variables.mjs', [name, executable], { env })
      assert.equal(ended, 0, stderr)
      return { stdout, stderr }
    }

    for (const by of ['import', 'ctypes']) {
      // Node wrote to `process.env` before the start: the array has moved, and does so again.
      test(`environ is the process's, always: ${by}`, { timeout, skip }, async () => {
        const { stdout } = await run('environ', by)
        assert.deepEqual(JSON.parse(stdout), ['before', '7', 7, 49, 8])
      })
    }

    test('what was loaded before has the environment of the start, always', { timeout, skip }, async () => {
      const { stdout } = await run('loaded before', 'ctypes')
      assert.deepEqual(JSON.parse(stdout), [null, 'before', 'before', null, 9])
    })

    test('std::cout and std::cerr write, also without stdio', { timeout, skip }, async () => {
      assert.deepEqual(await run('streams', 'import'), { stdout: 'one\ntwo\nthree\n', stderr: 'one\ntwo\nthree\n' })
    })

    test('timezone and tzname are what tzset made them', { timeout, skip }, async () => {
      assert.deepEqual(JSON.parse((await run('zone', 'import')).stdout), [10_800, 'ABC', 'DEF'])
    })

    test('what was read-only is read-only', { timeout, skip: elsewhere }, async () => {
      const { before, after } = JSON.parse((await run('pages', 'import')).stdout)
      assert.ok(before.some(({ file }) => file.includes('libpython')))
      assert.deepEqual(after, before)
    })
  })
}

// What the process brings along: its locale, its environment, other JavaScript contexts, pools that nobody closes. Each in a
// process of its own.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import matrix from '../scripts/matrix/pythons.js'
import { collect, docroot, serve, timeout } from './fixtures.mjs'
import { runFixture } from './processes.mjs'

const directory = mkdtempSync(path.join(tmpdir(), 'python-node-process-'))
after(() => rmSync(directory, { recursive: true, force: true }))

/** No locale, as under Docker, systemd and cron. */
const BARE = { LANG: undefined, LC_ALL: undefined, LC_CTYPE: undefined, PYTHONIOENCODING: undefined, PYTHONUTF8: undefined }

const ask = (root, target, url, env = {}) => runFixture('one-request.mjs', [root, target, url], { env })

for (const [what, env] of [
  ['no locale', BARE], ['the locale C', { ...BARE, LC_ALL: 'C' }], ['a locale that is not installed', { ...BARE, LC_ALL: 'xx_XX.UTF-8' }],
  ['PYTHONUTF8=1', { ...BARE, LC_ALL: 'C.UTF-8', PYTHONUTF8: '1' }]
]) {
  test(`Python speaks UTF-8 with ${what}, as python3 does`, { timeout }, async () => {
    const root = path.join(directory, `grün ✓ ${what}`)
    cpSync(path.join(docroot, 'at_import.py'), path.join(root, 'at_import.py'))
    const { ended, stdout, stderr } = await ask(root, 'at_import:app', '/print', env)
    assert.equal(ended, 0, stderr)
    const [printed, facts] = stdout.split('\n')
    assert.equal(printed, 'grün ✓')
    const { filesystem, utf8, stdout: encoding } = JSON.parse(facts)
    assert.deepEqual({ filesystem, utf8, encoding }, { filesystem: 'utf-8', utf8: 1, encoding: 'utf-8' })
  })
}

test('PYTHONUTF8=0 is obeyed', { timeout }, async () => {
  const { stdout, stderr } = await ask(docroot, 'at_import:app', '/print', { ...BARE, LC_ALL: 'C.UTF-8', PYTHONUTF8: '0' })
  assert.equal(JSON.parse(stdout.split('\n')[1] ?? stderr).utf8, 0)
})

// Scenario: CPython ends the process that it cannot start in.
test('a PYTHONHOME that is none is an error, and Node goes on', { timeout }, async () => {
  const { ended, stderr } = await ask(docroot, 'at_import:app', '/', { PYTHONHOME: '/nowhere' })
  assert.equal(ended, 1)
  assert.match(stderr, /ERR_PYTHON_START/)
})

// Scenario: modules that call asyncio.run at their top, and Django's ORM in ready(), were refused: a loop ran.
test('no event loop runs while an application is imported, and the same one after as before', { timeout }, async () => {
  const { value, loop } = JSON.parse((await serve('at_import:app').handleRequest({ url: '/' })).body)
  assert.deepEqual({ value, loop }, { value: 42, loop: true })
})

// Scenario: the workers lived on for ever, and held the pipes of the process.
for (const kind of process.platform === 'win32' ? ['spawn'] : ['fork', 'spawn']) {
  test(`a ProcessPoolExecutor that nobody closes ends with the process: ${kind}`, { timeout }, async () => {
    // Ended as well: whoever holds stdout.
    const { ended, stdout, stderr, milliseconds } = await ask(docroot, 'pools:app', `/${kind}`)
    assert.deepEqual({ ended, stderr }, { ended: 0, stderr: '' })
    assert.throws(() => process.kill(Number(stdout), 0), { code: 'ESRCH' })
    assert.ok(milliseconds < 10_000, `${milliseconds} ms`)
  })
}

// Scenario: the child of os.fork() served its parent's requests, for sys.exit() ended nothing.
describe('a child that is forked by an application', { skip: process.platform === 'win32' }, () => {
  for (const [how, status] of Object.entries({ exit: 3, raise: 1, return: 0 })) {
    for (const step of ['early', 'late']) {
      test(`ends where its application does: ${how}, ${step}`, { timeout }, async () => {
        const { ended, stdout, stderr } = await ask(docroot, 'forking:app', `/${step}/${how}`)
        assert.deepEqual({ ended, stdout }, { ended: 0, stdout: `in the child ${status}\n` }, stderr)
        assert.equal(stderr.includes('RuntimeError: in the child'), how === 'raise', stderr)
      })
    }
  }

  for (const [where, target] of Object.entries({ startup: 'forking:in_startup', import: 'forking_at_import:app' })) {
    test(`ends where its application does: by sys.exit() in its ${where}`, { timeout }, async () => {
      const { ended, stdout, stderr } = await ask(docroot, target, '/')
      assert.deepEqual({ ended, stdout, stderr }, { ended: 0, stdout: 'in the child 3\n', stderr: '' })
    })
  }
})

// Scenario: before 3.10, the buffers were lost with it.
for (const { name, executable } of matrix.findPythons().pythons) {
  test(`an exit function that raises costs no output, ${name}`, { timeout }, async () => {
    const { ended, stdout, stderr } = await runFixture('one-request.mjs', [docroot, 'failing_atexit:app', '/', executable])
    assert.equal(ended, 0, stderr)
    assert.match(stdout, /buffered /)
    assert.match(stderr, /RuntimeError: at exit/)
  })
}

// Scenario: jest --runInBand. The context that came first heard of nothing any more.
test('several JavaScript contexts of a thread each get their own answers, and are collected', { timeout }, async () => {
  const { ended, stdout, stderr } = await runFixture('contexts.mjs', [], { execArgv: ['--expose-gc'] })
  assert.deepEqual({ ended, stderr }, { ended: 0, stderr: '' }, stdout)
  assert.match(stdout, /^exit listeners 1$/m)
  assert.match(stdout, /^collected$/m)
  assert.equal(stdout.match(/^200$/gm).length, 6)
})

test('a shutdown of a lifespan has most of shutdownTimeout', { timeout }, async () => {
  const { ended, stdout, stderr } = await runFixture('lifespan.mjs', ['long_shutdown', 'leave'])
  assert.equal(ended, 0, stderr)
  assert.match(stdout, /shutdown complete/)
})

test('a shutdown that fails at the end of the process is told of', { timeout }, async () => {
  const { stderr } = await runFixture('lifespan.mjs', ['shutdown_failed', 'leave'])
  assert.match(stderr, /disk full/)
})

// Scenario: Node had written to the pipe, and so made it non-blocking. What did not fit was lost, or print raised.
describe('what Python prints where Node writes as well', () => {
  const print = (args, env) => spawn(process.execPath, [fileURLToPath(new URL('fixtures/printing.mjs', import.meta.url)), ...args],
    { env: { ...process.env, PYTHONUNBUFFERED: '', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })

  for (const [what, env] of Object.entries({ 'as usual': {}, 'unbuffered': { PYTHONUNBUFFERED: '1' } })) {
    test(`comes in whole lines, however late it is read, ${what}`, { timeout }, async () => {
      const child = print([], env)
      const ended = once(child, 'close')
      const [first] = await once(child.stderr, 'data')
      assert.equal(String(first), 'full\n')
      const errors = collect(child.stderr)
      const lines = String(await collect(child.stdout)).split('\n')
      assert.equal(String(await errors), '')
      assert.deepEqual(await ended, [0, null])
      assert.deepEqual([lines.shift(), lines.pop()], ['from Node', ''])
      assert.equal(lines.pop(), `printed ${lines.length - 1}`)
      for (const [number, line] of lines.entries()) assert.match(line, new RegExp(`^${number} (x{100})+$`))
    })
  }

  test('holds the end of the process up no longer than shutdownTimeout where nobody reads it', { timeout }, async () => {
    const child = print(['exit'])
    assert.deepEqual(await once(child, 'exit'), [3, null])
    child.stdout.destroy()
    child.stderr.destroy()
  })
})

// Scenario: fake timers of node:test, jest or sinon. From the third request on nothing settled.
test('answers arrive while a test has timers of its own', { timeout }, async () => {
  const { ended, stdout, stderr } = await runFixture('fake-timers.mjs', [])
  assert.deepEqual({ ended, stdout: stdout.split('\n')[0] }, { ended: 0, stdout: '25' }, stderr)
})

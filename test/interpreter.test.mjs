// Finding the interpreter and its libpython, and loading them: every rule of the search and every
// error, by interpreters made up here (shell scripts that print what the probe would). What only a
// real one can show runs on each Python this machine has.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, beforeEach, describe, test } from 'node:test'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const { PythonHandlerError } = require('../lib/errors.js')
const { findInterpreter, findInterpreterAsync } = require('../lib/interpreter.js')
const { findLibrary } = require('../lib/interpreter/library.js')
const { platformName } = require('../lib/native.js')

const LIB = fileURLToPath(new URL('../lib', import.meta.url))
const LIMIT = { timeout: 30000 }
const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'python-node-interpreter-')))
after(() => fs.rmSync(root, { recursive: true, force: true }))

let counter = 0
let dir
let env
beforeEach(() => {
  dir = path.join(root, `case ${++counter} é`)
  fs.mkdirSync(path.join(dir, 'app'), { recursive: true })
  env = { PATH: path.join(dir, 'path') }
})

const docroot = () => path.join(dir, 'app')
const find = (options = {}) => findInterpreter({ docroot: docroot(), env, ...options })

/** Runs both ways: the blocking and the other have to agree in everything. */
async function findBoth (options = {}) {
  const all = { docroot: docroot(), env, ...options }
  const found = findInterpreter(all)
  assert.deepEqual(await findInterpreterAsync({ ...all, env: { ...all.env, OTHER: '1' } }), found)
  return found
}

/** Asserts that both ways fail with the code; returns the error. */
async function failBoth (code, options = {}) {
  const all = { docroot: docroot(), env, ...options }
  const caught = await findInterpreterAsync(all).catch(error => error)
  assert.throws(() => findInterpreter(all), { name: 'PythonHandlerError', code, message: caught.message })
  assert.ok(caught instanceof PythonHandlerError)
  return caught
}

function write (file, text, mode = 0o644) {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text, { mode })
  return file
}

/** A script in place of an interpreter. */
const script = (file, body) => write(file, `#!/bin/sh\n${body}\n`, 0o755)

/** A script that says what a CPython of this kind would say; counts its runs in `<file>.runs`. */
function fake (file, { version = [3, 12, 4], library = true, before = '', ...facts } = {}) {
  const base = path.join(dir, 'base')
  const soname = `libpython${version[0]}.${version[1]}.so.1.0`
  if (library) write(path.join(base, 'lib', soname), '')
  const answer = {
    implementation: 'cpython',
    version,
    executable: file,
    prefix: base,
    basePrefix: base,
    baseExecPrefix: base,
    abiflags: '',
    freeThreaded: false,
    mapped: null,
    config: { LIBDIR: path.join(base, 'lib'), INSTSONAME: soname, LDLIBRARY: soname },
    ...facts
  }
  return script(file, `echo run >> "$0.runs"\n${before}\nprintf '%s\\n' '${JSON.stringify(answer)}'`)
}

const runs = file => fs.readFileSync(`${file}.runs`, 'utf8').split('\n').length - 1

function fakeVenv (folder, options) {
  write(path.join(folder, 'pyvenv.cfg'), '')
  return fake(path.join(folder, 'bin', 'python'), options)
}

describe('order of the search', () => {
  test('each place comes before those after it', LIMIT, async () => {
    const places = [
      ['option', fakeVenv(path.join(dir, 'option'))],
      ['VIRTUAL_ENV', fakeVenv(path.join(dir, 'virtual'))],
      ['CONDA_PREFIX', fake(path.join(dir, 'conda', 'bin', 'python'))],
      ['.venv', fakeVenv(path.join(docroot(), '.venv'))],
      ['.venv', fakeVenv(path.join(dir, '.venv'))],
      ['PATH', fake(path.join(dir, 'path', 'python3'))],
      ['PATH', fake(path.join(dir, 'path', 'python'))]
    ]
    Object.assign(env, { VIRTUAL_ENV: path.join(dir, 'virtual'), CONDA_PREFIX: path.join(dir, 'conda') })
    let options = { python: path.join(dir, 'option') }
    const next = [
      () => { options = {} },
      () => delete env.VIRTUAL_ENV,
      () => delete env.CONDA_PREFIX,
      () => fs.rmSync(path.join(docroot(), '.venv'), { recursive: true }),
      () => fs.rmSync(path.join(dir, '.venv'), { recursive: true }),
      () => fs.rmSync(path.join(dir, 'path', 'python3'))
    ]
    for (const [index, [source, executable]] of places.entries()) {
      const found = await findBoth(options)
      assert.deepEqual([found.source, found.executable], [source, executable])
      next[index]?.()
    }
  })

  test('the `python` option is an executable, a folder, or a command on PATH', LIMIT, async () => {
    const file = fakeVenv(path.join(dir, 'venv'))
    const command = fake(path.join(dir, 'path', 'python3.12'))
    assert.equal((await findBoth({ python: file })).executable, file)
    assert.equal((await findBoth({ python: path.join(dir, 'venv') })).executable, file)
    assert.equal((await findBoth({ python: path.relative(process.cwd(), file) })).executable, file)
    assert.equal((await findBoth({ python: 'python3.12' })).executable, command)
  })

  test('an empty variable is one that is not set', LIMIT, async () => {
    fake(path.join(dir, 'path', 'python3'))
    Object.assign(env, { VIRTUAL_ENV: '', CONDA_PREFIX: '' })
    assert.equal((await findBoth()).source, 'PATH')
  })

  test('a `.venv` without pyvenv.cfg is none', LIMIT, async () => {
    fake(path.join(docroot(), '.venv', 'bin', 'python'))
    const onPath = fake(path.join(dir, 'path', 'python3'))
    assert.equal((await findBoth()).executable, onPath)
  })

  test('relative and empty entries of PATH are skipped', LIMIT, async () => {
    const before = process.cwd()
    fake(path.join(dir, 'here', 'python3'))
    fake(path.join(dir, 'here', 'sub', 'python3'))
    const right = fake(path.join(dir, 'path', 'python3'))
    process.chdir(path.join(dir, 'here'))
    try {
      env.PATH = ['', '.', 'sub', path.dirname(right), ''].join(path.delimiter)
      assert.equal((await findBoth()).executable, right)
      env.PATH = ['', '.', 'sub'].join(path.delimiter)
      await failBoth('ERR_PYTHON_INTERPRETER_NOT_FOUND')
      await failBoth('ERR_PYTHON_INTERPRETER_NOT_FOUND', { python: 'python3' })
    } finally {
      process.chdir(before)
    }
  })

  test('on PATH, what does not run is passed over, what is no executable file too', LIMIT, async () => {
    write(path.join(dir, 'one', 'python3'), 'not executable')
    fs.mkdirSync(path.join(dir, 'two', 'python3'), { recursive: true })
    script(path.join(dir, 'three', 'python3'), 'echo "shim: no version set" >&2; exit 127')
    const right = fake(path.join(dir, 'four', 'python3'))
    const folders = names => names.map(name => path.join(dir, name)).join(path.delimiter)
    env.PATH = folders(['one', 'two', 'three', 'four'])
    assert.equal((await findBoth()).executable, right)

    env.PATH = folders(['one', 'two', 'three'])
    const error = await failBoth('ERR_PYTHON_INTERPRETER_FAILED')
    assert.match(error.message, /exit code 127; it wrote: shim: no version set/)
  })

  test('on PATH, an unsupported `python3` is an error though another would do', LIMIT, async () => {
    fake(path.join(dir, 'path', 'python3'), { version: [3, 7, 1] })
    fake(path.join(dir, 'path', 'python'))
    await failBoth('ERR_PYTHON_VERSION_UNSUPPORTED')
  })
})

describe('what is found', () => {
  test('is frozen, with exactly the documented fields', LIMIT, async () => {
    const executable = fakeVenv(path.join(dir, 'venv'))
    const base = path.join(dir, 'base')
    const found = await findBoth({ python: executable })
    assert.deepEqual(found, {
      executable,
      version: [3, 12, 4],
      prefix: path.join(dir, 'venv'),
      basePrefix: base,
      library: path.join(base, 'lib', 'libpython3.12.so.1.0'),
      source: 'option'
    })
    assert.ok(Object.isFrozen(found) && Object.isFrozen(found.version))
  })

  test('a shim gives way to the interpreter it reports', LIMIT, async () => {
    const shim = fake(path.join(dir, 'path', 'python3'), { executable: '/somewhere/bin/python3.12' })
    assert.equal((await findBoth({ python: shim })).executable, '/somewhere/bin/python3.12')
    const mute = fake(path.join(dir, 'path', 'mute'), { executable: '' })
    assert.equal((await findBoth({ python: mute })).executable, mute)
  })

  test('a pyenv shim looks for .python-version in the docroot, the interpreter runs in `/`', LIMIT, () => {
    const file = fake(path.join(dir, 'path', 'python3'), { before: 'pwd > "$0.where"; echo "$PYENV_DIR" >> "$0.where"' })
    find()
    assert.equal(fs.readFileSync(`${file}.where`, 'utf8'), `/\n${docroot()}\n`)
    find({ env: { ...env, PYENV_DIR: '/elsewhere' } })
    assert.equal(fs.readFileSync(`${file}.where`, 'utf8'), '/\n/elsewhere\n')
    find({ docroot: path.join(dir, 'missing') })
    assert.equal(fs.readFileSync(`${file}.where`, 'utf8'), '/\n\n')
  })

  test('an interpreter that reads its input gets none', LIMIT, async () => {
    await findBoth({ python: fake(path.join(dir, 'python'), { before: 'read line' }) })
  })

  test('is asked once: a second search of the same kind spawns nothing', LIMIT, async () => {
    const file = fake(path.join(dir, 'path', 'python3'))
    const first = find()
    assert.deepEqual(find(), first)
    assert.deepEqual(await findInterpreterAsync({ docroot: docroot(), env }), first)
    assert.equal(runs(file), 1)
    find({ env: { ...env, PYENV_VERSION: '3.9' } })
    assert.equal(runs(file), 2)
  })

  test('a failure is not remembered', LIMIT, async () => {
    const file = script(path.join(dir, 'path', 'python3'), 'exit 1')
    await failBoth('ERR_PYTHON_INTERPRETER_FAILED')
    fake(file)
    assert.equal(find().executable, file)
  })

  test('any later version passes', LIMIT, async () => {
    assert.deepEqual((await findBoth({ python: fake(path.join(dir, 'python'), { version: [3, 19, 0] }) })).version, [3, 19, 0])
    assert.deepEqual((await findBoth({ python: fake(path.join(dir, 'oldest'), { version: [3, 8, 0] }) })).version, [3, 8, 0])
  })
})

describe('an explicit choice that is broken is an error that names the choice', () => {
  const choices = [
    ['the `python` option', folder => ({ python: folder })],
    ['VIRTUAL_ENV', folder => ({ env: { ...env, VIRTUAL_ENV: folder } })],
    ['CONDA_PREFIX', folder => ({ env: { ...env, CONDA_PREFIX: folder } })]
  ]
  for (const [label, choose] of choices) {
    test(label, LIMIT, async () => {
      fake(path.join(dir, 'path', 'python3'))
      const from = new RegExp(`from ${label}\\)`)

      const missing = await failBoth('ERR_PYTHON_INTERPRETER_NOT_FOUND', choose(path.join(dir, 'missing')))
      assert.match(missing.message, from)

      fs.mkdirSync(path.join(dir, 'dangling', 'bin'), { recursive: true })
      fs.symlinkSync('/gone/python3.11', path.join(dir, 'dangling', 'bin', 'python'))
      const dangling = await failBoth('ERR_PYTHON_INTERPRETER_NOT_FOUND', choose(path.join(dir, 'dangling')))
      assert.match(dangling.message, from)
      assert.match(dangling.message, /is a link to `\/gone\/python3\.11`, which leads nowhere/)

      script(path.join(dir, 'broken', 'bin', 'python'), 'exit 3')
      const broken = await failBoth('ERR_PYTHON_INTERPRETER_FAILED', choose(path.join(dir, 'broken')))
      assert.match(broken.message, from)

      write(path.join(dir, 'plain', 'bin', 'python'), 'text')
      const plain = await failBoth('ERR_PYTHON_INTERPRETER_FAILED', choose(path.join(dir, 'plain')))
      assert.match(plain.message, from)
      assert.match(plain.message, /is not executable/)
    })
  }

  test('`.venv`, since nothing else has the application\'s packages', LIMIT, async () => {
    fake(path.join(dir, 'path', 'python3'))
    write(path.join(docroot(), '.venv', 'pyvenv.cfg'), '')
    const error = await failBoth('ERR_PYTHON_INTERPRETER_NOT_FOUND')
    assert.match(error.message, /from `\.venv` by the docroot/)
  })

  test('an option of the wrong type', LIMIT, async () => {
    for (const python of ['', 3, null, 'a\0b']) await failBoth('ERR_PYTHON_INVALID_ARGUMENT', { python })
  })
})

describe('errors', () => {
  test('none found: all that was looked at', LIMIT, async () => {
    const { message } = await failBoth('ERR_PYTHON_INTERPRETER_NOT_FOUND')
    for (const place of ['VIRTUAL_ENV', 'CONDA_PREFIX', path.join(docroot(), '.venv'), path.join(dir, '.venv'), env.PATH]) {
      assert.ok(message.includes(place), `${place} in: ${message}`)
    }
    const command = await failBoth('ERR_PYTHON_INTERPRETER_NOT_FOUND', { python: 'python9' })
    assert.match(command.message, /`python9` on PATH/)
    assert.ok(command.message.includes(env.PATH))
  })

  test('it fails: stderr is in the message', LIMIT, async () => {
    const python = script(path.join(dir, 'python'), 'echo out; echo "cannot open shared object" >&2; exit 127')
    const { message } = await failBoth('ERR_PYTHON_INTERPRETER_FAILED', { python })
    assert.match(message, /exit code 127; it wrote: cannot open shared object/)
    assert.ok(message.includes(python))
  })

  test('it prints something else', LIMIT, async () => {
    for (const body of ['echo hello', ':', 'echo "{}"', 'echo null', 'echo \'{"version":[3]}\'']) {
      const python = script(path.join(dir, 'python'), body)
      assert.match((await failBoth('ERR_PYTHON_INTERPRETER_FAILED', { python })).message, /did not answer as Python does/)
    }
  })

  test('output before the answer does no harm', LIMIT, async () => {
    await findBoth({ python: fake(path.join(dir, 'python'), { before: 'echo welcome' }) })
  })

  test('it hangs', LIMIT, async () => {
    const python = script(path.join(dir, 'python'), 'echo stuck >&2; PATH=/bin:/usr/bin exec sleep 60')
    const started = Date.now()
    const { message } = await failBoth('ERR_PYTHON_INTERPRETER_FAILED', { python, timeout: 300 })
    assert.match(message, /gave no answer within 300 ms/)
    assert.ok(Date.now() - started < 20000)
  })

  test('it is ended by a signal', LIMIT, async () => {
    const python = script(path.join(dir, 'python'), 'kill -SEGV $$')
    assert.match((await failBoth('ERR_PYTHON_INTERPRETER_FAILED', { python })).message, /ended by SIGSEGV/)
  })

  test('the system cannot run it: the cause is kept', LIMIT, async () => {
    const python = write(path.join(dir, 'python'), '#!/no/such/program\n', 0o755)
    const error = await failBoth('ERR_PYTHON_INTERPRETER_FAILED', { python })
    assert.equal(error.cause.code, 'ENOENT')
    const tooBig = { python: fake(path.join(dir, 'fine')), env: { ...env, BIG: 'x'.repeat(4 << 20) } }
    assert.match((await failBoth('ERR_PYTHON_INTERPRETER_FAILED', tooBig)).message, /cannot be run: E2BIG/)
  })

  test('too old: the version is named', LIMIT, async () => {
    for (const version of [[3, 7, 16], [3, 6, 15]]) {
      const python = fake(path.join(dir, version.join('.')), { version })
      const { message } = await failBoth('ERR_PYTHON_VERSION_UNSUPPORTED', { python })
      assert.ok(message.includes(`is Python ${version.join('.')}: 3.8 or later is needed`), message)
    }
  })

  test('Python 2, which does not know -I, is asked again', LIMIT, async () => {
    const before = 'case $1 in -I) echo "Unknown option: -I" >&2; exit 2;; esac'
    const python = fake(path.join(dir, 'python2'), { version: [2, 7, 18], before })
    assert.match((await failBoth('ERR_PYTHON_VERSION_UNSUPPORTED', { python })).message, /is Python 2\.7\.18/)
  })

  test('another implementation', LIMIT, async () => {
    const python = fake(path.join(dir, 'pypy'), { implementation: 'pypy', version: [3, 10, 14] })
    assert.match((await failBoth('ERR_PYTHON_VERSION_UNSUPPORTED', { python })).message, /is `pypy` 3\.10\.14: CPython/)
  })

  test('free-threaded', LIMIT, async () => {
    const python = fake(path.join(dir, 'python3.13t'), { version: [3, 13, 0], abiflags: 't', freeThreaded: true })
    assert.match((await failBoth('ERR_PYTHON_FREE_THREADED', { python })).message, /3\.13\.0/)
  })

  test('no shared library: interpreter, every path, and who brings it', LIMIT, async () => {
    const config = { LIBDIR: path.join(dir, 'libdir'), LIBPL: path.join(dir, 'libpl'), INSTSONAME: 'libpython3.12.a', LDLIBRARY: 'libpython3.12.a' }
    write(path.join(dir, 'libdir', 'libpython3.12.a'), '')
    const python = fake(path.join(dir, 'python'), { library: false, config })
    const { message } = await failBoth('ERR_PYTHON_LIBRARY_NOT_FOUND', { python })
    assert.ok(message.includes(python))
    for (const folder of ['libdir', path.join('base', 'lib'), 'libpl']) {
      assert.ok(message.includes(path.join(dir, folder, 'libpython3.12.so.1.0')), `${folder} in: ${message}`)
    }
    assert.ok(!message.includes('.a`'), message)

    const hintFor = basePrefix => assert.throws.bind(assert, () => {
      findLibrary({ version: [3, 12, 4], basePrefix, config: { LIBDIR: '/nowhere' } }, { file: 'python', label: 'PATH' }, 'linux')
    })
    const conda = path.join(dir, 'conda')
    fs.mkdirSync(path.join(conda, 'conda-meta'), { recursive: true })
    hintFor(conda)({ code: 'ERR_PYTHON_LIBRARY_NOT_FOUND', message: /conda install .*python=3\.12/ })
    hintFor('/nowhere/.pyenv/versions/3.12.4')({ message: /PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --force 3\.12\.4/ })
    hintFor('/nowhere')({ message: /--enable-shared.*libpython3.*Debian.*python3-libs.*Fedora/ })
    if (!fs.existsSync('/usr/lib/libpython3.199.so.1.0')) {
      assert.throws(() => findLibrary({ version: [3, 199, 0], basePrefix: '/usr' }, { file: 'python', label: 'PATH' }, 'linux'),
        { message: /`libpython3\.199` \(Debian, Ubuntu\) or `python3-libs` \(Fedora, RHEL\)/ })
    }
  })
})

describe('the file of libpython', () => {
  const candidate = { file: 'python', label: 'PATH' }
  const at = (...names) => path.join(dir, ...names)
  const facts = (extra = {}) => ({ version: [3, 12, 4], abiflags: '', basePrefix: at('base'), baseExecPrefix: at('base'), mapped: null, config: {}, ...extra })

  test('LIBDIR, then base_prefix/lib, then LIBPL; INSTSONAME, then LDLIBRARY, never an archive', LIMIT, () => {
    const config = { LIBDIR: at('libdir'), LIBPL: at('libpl'), INSTSONAME: 'libpython3.12d.so.1.0', LDLIBRARY: 'libpython3.12d.so' }
    const order = [at('libdir', config.INSTSONAME), at('libdir', config.LDLIBRARY), at('base', 'lib', config.INSTSONAME), at('libpl', config.INSTSONAME)]
    for (const file of order) write(file, '')
    for (const file of order) {
      assert.equal(findLibrary(facts({ config }), candidate, 'linux'), file)
      fs.rmSync(file)
    }
    assert.throws(() => findLibrary(facts({ config }), candidate, 'linux'), { code: 'ERR_PYTHON_LIBRARY_NOT_FOUND' })
  })

  test('a folder by that name is none', LIMIT, () => {
    const config = { LIBDIR: at('libdir'), INSTSONAME: 'libpython3.12.so.1.0' }
    fs.mkdirSync(at('libdir', 'libpython3.12.so.1.0'), { recursive: true })
    const file = write(at('base', 'lib', 'libpython3.12.so.1.0'), '')
    assert.equal(findLibrary(facts({ config }), candidate, 'linux'), file)
  })

  test('the system\'s library folder is for the system\'s Python alone', LIMIT, () => {
    const config = { MULTIARCH: 'no-such-arch' }
    const folder = /\/usr\/lib\/no-such-arch\/libpython3\.199\.so\.1\.0/
    const look = basePrefix => {
      try {
        findLibrary(facts({ version: [3, 199, 0], basePrefix, config }), candidate, 'linux')
      } catch (error) {
        return error.message
      }
    }
    assert.match(look('/usr'), folder)
    assert.doesNotMatch(look(at('base')), folder)
  })

  test('conda names the archive and has the library beside it', LIMIT, () => {
    const config = { LIBDIR: at('base', 'lib'), INSTSONAME: 'libpython3.12.a', LDLIBRARY: 'libpython3.12.a' }
    write(at('base', 'lib', 'libpython3.12.a'), '')
    const file = write(at('base', 'lib', 'libpython3.12.so.1.0'), '')
    assert.equal(findLibrary(facts({ config }), candidate, 'linux'), file)
  })

  test('the one the interpreter runs on comes first', LIMIT, () => {
    const config = { LIBDIR: at('libdir'), INSTSONAME: 'libpython3.12.so.1.0' }
    const usual = write(at('libdir', 'libpython3.12.so.1.0'), '')
    const mapped = write(at('moved', 'libpython3.12.so.1.0'), '')
    assert.equal(findLibrary(facts({ config, mapped }), candidate, 'linux'), mapped)
    assert.equal(findLibrary(facts({ config, mapped: `${mapped} (deleted)` }), candidate, 'linux'), usual)
  })

  test('macOS: the framework, or a dylib', LIMIT, () => {
    const config = { PYTHONFRAMEWORK: 'Python', PYTHONFRAMEWORKPREFIX: at('Frameworks'), LIBDIR: at('libdir') }
    const order = [at('Frameworks', 'Python.framework', 'Versions', '3.12', 'Python'), at('base', 'Python'), at('libdir', 'libpython3.12.dylib')]
    for (const file of order) write(file, '')
    for (const file of order) {
      assert.equal(findLibrary(facts({ config }), candidate, 'darwin'), file)
      fs.rmSync(file)
    }
  })

  test('Windows: the DLL beside the base interpreter', LIMIT, () => {
    const file = write(at('base', 'python312.dll'), '')
    assert.equal(findLibrary(facts(), candidate, 'win32'), file)
    fs.rmSync(file)
    assert.throws(() => findLibrary(facts(), candidate, 'win32'), { message: /python312\.dll.*python\.org/ })
  })
})

/** What the interpreter says of itself in its usual state: with `site`, `json` and `sysconfig`. */
const TRUTH = `
import sys, json, sysconfig
print(json.dumps({
  'version': list(sys.version_info[:3]), 'executable': sys.executable, 'prefix': sys.prefix,
  'basePrefix': getattr(sys, 'base_prefix', sys.prefix), 'libdir': sysconfig.get_config_var('LIBDIR'),
  'shared': bool(sysconfig.get_config_var('Py_ENABLE_SHARED')), 'soname': sysconfig.get_config_var('INSTSONAME'),
  'free': bool(sysconfig.get_config_var('Py_GIL_DISABLED')),
}))`

function askPlainly (file) {
  const { status, stdout } = spawnSync(file, ['-E', '-s', '-c', TRUTH], { encoding: 'utf8', cwd: '/' })
  return status === 0 ? JSON.parse(stdout.trim().split('\n').pop()) : undefined
}

/** Every Python of this machine: on PATH, the system's, pyenv's. */
function realPythons () {
  const files = ['/usr/bin/python3', '/usr/local/bin/python3']
  for (const folder of process.env.PATH.split(path.delimiter)) files.push(path.join(folder, 'python3'))
  const versions = path.join(process.env.PYENV_ROOT ?? path.join(os.homedir(), '.pyenv'), 'versions')
  if (fs.existsSync(versions)) files.push(...fs.readdirSync(versions).map(name => path.join(versions, name, 'bin', 'python')))
  const byExecutable = new Map()
  for (const file of files.filter(name => path.isAbsolute(name) && fs.existsSync(name))) {
    const truth = askPlainly(file)
    if (truth && !byExecutable.has(truth.executable)) byExecutable.set(truth.executable, { file, truth })
  }
  return [...byExecutable.values()]
}

const isOld = ([major, minor]) => major < 3 || (major === 3 && minor < 8)
const real = realPythons()
const usable = real.filter(({ file }) => {
  try {
    return findInterpreter({ python: file })
  } catch {
    return false
  }
})

describe('real interpreters', () => {
  test('there is at least one whose library can be loaded', LIMIT, () => {
    assert.ok(usable.length > 0, `of ${real.map(({ file }) => file)}`)
  })

  for (const { file, truth } of real) {
    test(`Python ${truth.version.join('.')} at ${file}`, LIMIT, async () => {
      const options = { python: file, env: process.env, docroot: '/' }
      if (isOld(truth.version)) {
        const { message } = await failBoth('ERR_PYTHON_VERSION_UNSUPPORTED', options)
        assert.ok(message.includes(truth.version.join('.')))
        return
      }
      if (truth.free) return failBoth('ERR_PYTHON_FREE_THREADED', options)
      const files = [path.join(truth.libdir, truth.soname), path.join(truth.basePrefix, 'lib', truth.soname)]
      if (!truth.shared || !files.some(name => fs.existsSync(name))) return failBoth('ERR_PYTHON_LIBRARY_NOT_FOUND', options)

      const { library, source, ...found } = await findBoth(options)
      assert.equal(source, 'option')
      assert.ok(files.filter(name => fs.existsSync(name)).some(name => fs.realpathSync(name) === fs.realpathSync(library)))
      const { version, executable, prefix, basePrefix } = truth
      assert.deepEqual(found, { version, executable, prefix, basePrefix })
    })
  }

  for (const { file, truth } of usable) {
    test(`a venv of Python ${truth.version.join('.')} at ${file}`, LIMIT, async () => {
      const venv = path.join(dir, 'venv 😀')
      const made = spawnSync(truth.executable, ['-m', 'venv', '--without-pip', venv], { encoding: 'utf8' })
      assert.equal(made.status, 0, made.stderr)
      const python = path.join(venv, 'bin', 'python')
      const plain = askPlainly(python)
      // `site` would run this line, and the interpreter end before it has answered.
      write(path.join(venv, 'lib', `python${truth.version[0]}.${truth.version[1]}`, 'site-packages', 'exit.pth'), 'import sys; sys.exit(3)\n')

      const found = await findBoth({ env: { ...process.env, VIRTUAL_ENV: venv } })
      assert.equal(found.executable, python)
      assert.equal(found.prefix, venv)
      assert.deepEqual([found.prefix, found.basePrefix], [plain.prefix, plain.basePrefix])
      assert.equal(found.library, findInterpreter({ python: file }).library)
    })
  }
})

/** Runs CommonJS code in a process of its own; `values` is what it gets, its exit value is JSON. */
function inProcess (code, values, env = {}, lib = LIB) {
  const source = `
    const values = JSON.parse(process.env.VALUES)
    const { loadNative } = require(${JSON.stringify(path.join(lib, 'native.js'))})
    const outcome = work => { try { work(); return 'ok' } catch (error) { return { name: error.name, code: error.code, message: error.message, cause: error.cause?.message } } }
    ${code}`
  const file = write(path.join(dir, `child-${++counter}.js`), source)
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], {
    encoding: 'utf8',
    env: { ...process.env, PYTHON_NODE_NATIVE_PATH: '', ...env, VALUES: JSON.stringify(values) },
    timeout: 20000
  })
  assert.equal(status, 0, stderr)
  return JSON.parse(stdout)
}

/** Stands in for the addon: what it exports, and how often it was loaded in this environment. */
const stub = (started = 'null') => write(path.join(dir, `stub-${++counter}.js`),
  `globalThis.loads = (globalThis.loads ?? 0) + 1\nexports.startedInterpreter = () => (${started})\n`)

const PRINT = value => `console.log(JSON.stringify(${value}))`

describe('loading', () => {
  const interpreter = () => findInterpreter({ python: usable[0].file })

  function linkTwice (folder) {
    fs.mkdirSync(folder)
    for (const name of ['python', 'python3']) fs.symlinkSync(interpreter().executable, path.join(folder, name))
  }

  test('libpython is loaded once, for good, with its symbols for all, and the addon after it', LIMIT, () => {
    const flags = inProcess(`
      const calls = []
      process.dlopen = (module, file, flags) => { calls.push([file, flags]); throw new Error("Module did not self-register: '" + file + "'") }
      const first = loadNative(values)
      const same = loadNative({ ...values }) === first
      ${PRINT('{ calls, same, loads: globalThis.loads }')}`, interpreter(), { PYTHON_NODE_NATIVE_PATH: stub() })
    const { RTLD_NOW, RTLD_GLOBAL, RTLD_DEEPBIND = 0 } = os.constants.dlopen
    const keep = process.platform === 'darwin' ? 0x80 : 0x1000
    assert.deepEqual(flags, { calls: [[interpreter().library, RTLD_NOW | RTLD_GLOBAL | RTLD_DEEPBIND | keep]], same: true, loads: 1 })

    const without = inProcess(`
      let used
      process.dlopen = (module, file, flags) => { used = flags; throw new Error('Module did not self-register') }
      loadNative(values, { deepbind: false })
      ${PRINT('used')}`, interpreter(), { PYTHON_NODE_NATIVE_PATH: stub() })
    assert.equal(without, RTLD_NOW | RTLD_GLOBAL | keep)
  })

  test('the real library stays in the process, in several worker threads too', LIMIT, () => {
    const outcomes = inProcess(`
      const { Worker, isMainThread, parentPort } = require('node:worker_threads')
      const result = [outcome(() => loadNative(values)), globalThis.loads]
      if (!isMainThread) parentPort.postMessage(result)
      else {
        const workers = [0, 1].map(() => new Promise((resolve, reject) => new Worker(__filename).on('message', resolve).on('error', reject)))
        Promise.all(workers).then(results => {
          const maps = process.platform === 'linux' ? require('node:fs').readFileSync('/proc/self/maps', 'utf8') : values.library
          const mapped = maps.includes(require('node:fs').realpathSync(values.library))
          ${PRINT('{ results: [result, ...results], mapped }')}
        })
      }`, interpreter(), { PYTHON_NODE_NATIVE_PATH: stub() })
    assert.deepEqual(outcomes, { results: [['ok', 1], ['ok', 1], ['ok', 1]], mapped: true })
  })

  test('a library that is none: ERR_PYTHON_LIBRARY_LOAD with the cause', LIMIT, () => {
    const library = write(path.join(dir, 'libpython3.12.so.1.0'), 'text')
    const error = inProcess(PRINT('outcome(() => loadNative(values))'), { executable: '/x', library }, { PYTHON_NODE_NATIVE_PATH: stub() })
    assert.equal(error.code, 'ERR_PYTHON_LIBRARY_LOAD')
    assert.equal(error.name, 'PythonHandlerError')
    assert.ok(error.message.includes(library) && error.cause.includes(library), error.message)
  })

  test('another interpreter in the same environment: conflict naming both', LIMIT, () => {
    const wanted = { ...interpreter(), executable: '/other/bin/python' }
    const error = inProcess(`
      loadNative(values[0])
      ${PRINT('outcome(() => loadNative(values[1]))')}`, [interpreter(), wanted], { PYTHON_NODE_NATIVE_PATH: stub() })
    assert.equal(error.code, 'ERR_PYTHON_INTERPRETER_CONFLICT')
    assert.ok(error.message.includes(wanted.executable) && error.message.includes(interpreter().executable), error.message)
  })

  test('another interpreter than the process has started: conflict, also on the first load here', LIMIT, () => {
    const started = JSON.stringify({ executable: '/started/bin/python', library: interpreter().library })
    const error = inProcess(PRINT('outcome(() => loadNative(values))'), interpreter(), { PYTHON_NODE_NATIVE_PATH: stub(started) })
    assert.equal(error.code, 'ERR_PYTHON_INTERPRETER_CONFLICT')
    assert.ok(error.message.includes('/started/bin/python') && error.message.includes(interpreter().executable), error.message)
  })

  test('another libpython from another thread is refused before it is loaded', { ...LIMIT, skip: process.platform !== 'linux' && 'only Linux lists what is mapped' }, () => {
    const other = { executable: '/other/bin/python', library: write(path.join(dir, 'libpython3.12.so.1.0'), 'text') }
    const error = inProcess(`
      const { Worker, isMainThread, parentPort } = require('node:worker_threads')
      if (isMainThread) {
        loadNative(values[0])
        new Worker(__filename).on('message', result => ${PRINT('result')})
      } else parentPort.postMessage(outcome(() => loadNative(values[1])))`, [interpreter(), other], { PYTHON_NODE_NATIVE_PATH: stub() })
    assert.equal(error.code, 'ERR_PYTHON_INTERPRETER_CONFLICT')
    assert.ok(error.message.includes(other.library) && error.message.includes(fs.realpathSync(interpreter().library)), error.message)
  })

  test('`python` and `python3` of one folder, or a link to the library, are no conflict', LIMIT, () => {
    const bin = path.join(dir, 'bin')
    linkTwice(bin)
    const link = path.join(dir, path.basename(interpreter().library))
    fs.symlinkSync(interpreter().library, link)
    const values = [
      { executable: path.join(bin, 'python'), library: interpreter().library },
      { executable: path.join(bin, 'python3'), library: link }
    ]
    const result = inProcess(`
      const { Worker, isMainThread, parentPort } = require('node:worker_threads')
      if (isMainThread) {
        loadNative(values[0])
        const here = outcome(() => loadNative(values[1]))
        new Worker(__filename).on('message', there => ${PRINT('[here, there]')})
      } else parentPort.postMessage(outcome(() => loadNative(values[1])))`, values, { PYTHON_NODE_NATIVE_PATH: stub() })
    assert.deepEqual(result, ['ok', 'ok'])
  })

  test('two venvs of one Python are a conflict', LIMIT, () => {
    const values = ['one', 'other'].map(name => {
      linkTwice(path.join(dir, name))
      return { executable: path.join(dir, name, 'python'), library: interpreter().library }
    })
    const error = inProcess(`
      loadNative(values[0])
      ${PRINT('outcome(() => loadNative(values[1]))')}`, values, { PYTHON_NODE_NATIVE_PATH: stub() })
    assert.equal(error.code, 'ERR_PYTHON_INTERPRETER_CONFLICT')
  })
})

describe('where a Python runs already', () => {
  /** The first Python is started in one thread, then a handler that asks for none is made in the same and in another. */
  function startTwo (first, PATH, startedIn = 'main', options = {}) {
    write(path.join(docroot(), 'main.py'), `import sys
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": sys.executable.encode()})
`)
    return inProcess(`
      const { once } = require('node:events')
      const { Worker, isMainThread, parentPort } = require('node:worker_threads')
      const { PythonHandler } = require(${JSON.stringify(path.join(LIB, '..'))})
      const { startedIn, docroot, python, options } = values
      const thread = isMainThread ? 'main' : 'worker'
      const ask = handler => String(handler.handleRequestSync({ url: '/' }).body)
      const settled = make => make().then(ask, error => error.code)
      const start = () => PythonHandler.load({ docroot, python, lifespan: 'off' })
      const others = async () => [
        await settled(() => PythonHandler.load({ docroot, lifespan: 'off', ...options })),
        await settled(async () => new PythonHandler({ docroot, lifespan: 'off', ...options }))
      ]
      async function run () {
        if (thread === startedIn) await start()
        if (!isMainThread) {
          parentPort.postMessage(startedIn === 'main' ? await others() : [])
          return once(parentPort, 'message').then(() => parentPort.close())
        }
        const worker = new Worker(__filename)
        const [theirs] = await once(worker, 'message')
        const all = [...theirs, ...await others()]
        worker.postMessage('end')
        ${PRINT('all')}
      }
      run()`, { startedIn, docroot: docroot(), python: first, options }, { PATH, VIRTUAL_ENV: undefined, CONDA_PREFIX: undefined })
  }

  const [first, second = first] = [...new Map(usable.map(({ file }) => [findInterpreter({ python: file }).library, file])).values()]

  /** A folder for PATH whose `python3` is a venv's: another interpreter, of another library where there is one. */
  function another () {
    const venv = path.join(dir, 'another')
    const made = spawnSync(second, ['-m', 'venv', '--without-pip', venv], { encoding: 'utf8' })
    assert.equal(made.status, 0, made.stderr)
    return path.join(venv, 'bin')
  }

  const { executable } = findInterpreter({ python: first })

  test('it is taken where only PATH names another, in other threads too', LIMIT, () => {
    assert.deepEqual(startTwo(first, another()), Array(4).fill(executable))
  })

  test('it is taken in the main thread when a worker has started it', LIMIT, () => {
    assert.deepEqual(startTwo(first, another(), 'worker'), Array(2).fill(executable))
  })

  test('it is taken where PATH has one that does not run, or none', LIMIT, () => {
    script(path.join(dir, 'path', 'python3'), 'exit 1')
    assert.deepEqual(startTwo(first, path.join(dir, 'path')), Array(4).fill(executable))
    assert.deepEqual(startTwo(first, path.join(dir, 'nowhere')), Array(4).fill(executable))
  })

  test('it may be asked for by another name', LIMIT, () => {
    const folder = another()
    const python = path.join(folder, 'python')
    assert.deepEqual(startTwo(python, '/nowhere', 'main', { python: path.join(folder, 'python3') }), Array(4).fill(python))
  })

  test('it is a conflict where the other one is asked for', LIMIT, () => {
    const python = path.join(another(), 'python')
    assert.deepEqual(startTwo(first, '/nowhere', 'main', { python }), Array(4).fill('ERR_PYTHON_INTERPRETER_CONFLICT'))
  })
})

describe('the addon', () => {
  const name = `@platformatic/python-node-${platformName()}`

  /** A copy of lib/ in a package of its own, so that no addon built here is in reach. */
  function copyOfPackage () {
    const lib = path.join(dir, 'package', 'lib')
    fs.cpSync(LIB, lib, { recursive: true })
    write(path.join(dir, 'package', 'package.json'), JSON.stringify({ version: '1.2.3' }))
    return lib
  }

  function platformPackage (version, main = 'exports.startedInterpreter = () => null; exports.which = "package"') {
    const folder = path.join(dir, 'package', 'node_modules', name)
    write(path.join(folder, 'package.json'), JSON.stringify({ name, version, main: 'addon.js' }))
    write(path.join(folder, 'addon.js'), main)
  }

  const load = (values = { executable: '/x', library: '/x/libpython3.12.so.1.0' }, env = {}) => inProcess(`
    process.dlopen = (module, file, flags) => { throw new Error('Module did not self-register') }
    const result = outcome(() => { globalThis.native = loadNative(values) })
    ${PRINT('[result, globalThis.native?.which]')}`, values, env, copyOfPackage())

  test('missing: platform, both places and the cause', LIMIT, () => {
    const [error] = load()
    assert.equal(error.code, 'ERR_PYTHON_ADDON_NOT_FOUND')
    for (const part of [`\`${platformName()}\``, path.join(dir, 'package', `python-node.${platformName()}.node`), name]) {
      assert.ok(error.message.includes(part), `${part} in: ${error.message}`)
    }
    assert.match(error.cause, /Cannot find module/)
  })

  test('a platform without one: those that have one are named', LIMIT, () => {
    const lib = copyOfPackage()
    const error = inProcess(`
      Object.defineProperty(process, 'platform', { value: 'sunos' })
      ${PRINT('outcome(() => loadNative(values))')}`, {}, {}, lib)
    assert.equal(error.code, 'ERR_PYTHON_ADDON_NOT_FOUND')
    for (const part of ['`sunos-', 'linux-x64-gnu', 'linux-arm64-gnu', 'linux-x64-musl', 'linux-arm64-musl', 'darwin-x64', 'darwin-arm64', 'win32-x64-msvc']) {
      assert.ok(error.message.includes(part), `${part} in: ${error.message}`)
    }
  })

  test('musl is told by the report', { ...LIMIT, skip: process.platform !== 'linux' && 'Linux only' }, () => {
    const lib = copyOfPackage()
    const names = inProcess(`
      const os = require('node:os')
      const { platformName } = require(${JSON.stringify(path.join(lib, 'native.js'))})
      const seen = []
      Object.defineProperty(os.constants, 'dlopen', { value: {} })
      for (const header of [{ glibcVersionRuntime: '2.36' }, {}]) {
        process.report.getReport = () => { seen.push(process.report.excludeNetwork); return { header } }
        seen.push(platformName())
      }
      ${PRINT('[seen, process.report.excludeNetwork]')}`, {}, {}, lib)
    assert.deepEqual(names, [[true, `linux-${process.arch}-gnu`, true, `linux-${process.arch}-musl`], false])
  })

  test('the package of this platform, of the same version only', LIMIT, () => {
    platformPackage('1.2.3')
    assert.deepEqual(load(), ['ok', 'package'])
    platformPackage('1.2.4')
    const [error] = load()
    assert.equal(error.code, 'ERR_PYTHON_ADDON_NOT_FOUND')
    assert.match(error.message, /1\.2\.4.*1\.2\.3/)
  })

  test('PYTHON_NODE_NATIVE_PATH before the file beside index.js before the package', LIMIT, () => {
    platformPackage('1.2.3')
    write(path.join(dir, 'package', `python-node.${platformName()}.node`), 'text')
    const [error] = load()
    assert.equal(error.code, 'ERR_PYTHON_ADDON_LOAD')
    const file = write(path.join(dir, 'mine.js'), 'exports.startedInterpreter = () => null; exports.which = "mine"')
    assert.deepEqual(load(undefined, { PYTHON_NODE_NATIVE_PATH: file }), ['ok', 'mine'])
    const [missing] = load(undefined, { PYTHON_NODE_NATIVE_PATH: path.join(dir, 'missing.node') })
    assert.equal(missing.code, 'ERR_PYTHON_ADDON_NOT_FOUND')
    assert.match(missing.message, /missing\.node.*PYTHON_NODE_NATIVE_PATH/)
  })
})

describe('PythonHandlerError', () => {
  test('has name, own code, cause only if given, and what else it is given', LIMIT, () => {
    const cause = new Error('first')
    const error = new PythonHandlerError('ERR_PYTHON_X', 'text', { cause, pythonType: 'ValueError' })
    assert.ok(error instanceof Error)
    assert.equal(error.name, 'PythonHandlerError')
    assert.ok(Object.hasOwn(error, 'code'))
    assert.deepEqual([error.code, error.message, error.cause, error.pythonType], ['ERR_PYTHON_X', 'text', cause, 'ValueError'])
    assert.match(error.stack, /^PythonHandlerError: text\n/)
    assert.equal(Object.hasOwn(new PythonHandlerError('ERR_PYTHON_X', 'text'), 'cause'), false)
  })
})

'use strict'

// Every Python of this machine that can be embedded, and a venv with packages for each: called by
// ../matrix.js and by test/python-matrix.test.mjs. The venvs are kept in `.venv-matrix`.

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { findInterpreter } = require('../../lib/interpreter.js')
const { ROOT, run } = require('../run.js')
const { cleanEnvironment } = require('../venv.js')

const FOLDER = path.join(ROOT, '.venv-matrix')
const STAMP = '.packages.json'
const BIN = process.platform === 'win32' ? 'Scripts' : 'bin'

/** What the matrix imports: compiled packages, and FastAPI for the basic requests; then what the tests import. */
const PACKAGES = [
  'pydantic-core', 'orjson', 'numpy', 'uvloop', 'fastapi', 'python-multipart', 'anyio',
  'a2wsgi', 'cryptography', 'websockets'
]

/**
 * @typedef {object} Python
 * @property {string} name e.g. `3.11.2 (/usr)`; the version alone where it says enough
 * @property {string} executable
 * @property {[number, number, number]} version
 * @property {string} basePrefix
 */

function foldersOfPath () {
  return (process.env.PATH ?? '').split(path.delimiter).filter(path.isAbsolute)
}

function list (folder) {
  try {
    return fs.readdirSync(folder)
  } catch {
    return []
  }
}

/** pyenv's own folder, if there is a pyenv. */
function pyenvRoot () {
  try {
    return execFileSync('pyenv', ['root'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

/** Files that may be a Python: a venv on PATH stands for the interpreter behind it. */
function * candidates () {
  if (process.env.VIRTUAL_ENV) yield path.join(process.env.VIRTUAL_ENV, BIN, 'python')
  const pyenv = pyenvRoot()
  if (pyenv !== undefined) {
    const versions = path.join(pyenv, 'versions')
    for (const name of list(versions)) yield path.join(versions, name, 'bin', 'python3')
  }
  for (const folder of new Set([...foldersOfPath(), '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'])) {
    // Its shims run one of the versions above, or none.
    if (pyenv !== undefined && folder === path.join(pyenv, 'shims')) continue
    for (const name of list(folder)) {
      if (/^python3?(\.\d+)?(\.exe)?$/.test(name)) yield path.join(folder, name)
    }
  }
}

/** The executable outside any venv. */
function baseExecutable ({ version: [major, minor], basePrefix, executable, prefix }) {
  if (prefix === basePrefix) return executable
  const names = [`python${major}.${minor}`, 'python3', 'python', 'python.exe']
  const files = names.flatMap((name) => [path.join(basePrefix, 'bin', name), path.join(basePrefix, name)])
  return files.find((file) => fs.existsSync(file)) ?? executable
}

/**
 * Those that can be embedded, oldest first, each once.
 *
 * @returns {{ pythons: Python[], refused: { file: string, code: string, message: string }[] }}
 */
function findPythons () {
  const found = new Map()
  const refused = new Map()
  const seen = new Set()
  for (const candidate of candidates()) {
    if (!fs.existsSync(candidate) || seen.has(fs.realpathSync(candidate))) continue
    // A venv's link has to be looked at as itself; everything else by what it leads to.
    if (candidate !== path.join(process.env.VIRTUAL_ENV ?? '', BIN, 'python')) seen.add(fs.realpathSync(candidate))
    try {
      const interpreter = findInterpreter({ python: candidate, docroot: ROOT, env: cleanEnvironment() })
      const library = fs.realpathSync(interpreter.library)
      if (!found.has(library)) {
        const { version, basePrefix } = interpreter
        found.set(library, { version, basePrefix, executable: baseExecutable(interpreter) })
      }
    } catch (error) {
      if (error.code === undefined) throw error
      refused.set(candidate, { file: candidate, code: error.code, message: error.message })
    }
  }
  const pythons = [...found.values()].sort(byVersion)
  for (const python of pythons) {
    const version = python.version.join('.')
    const isPlain = path.basename(python.basePrefix) === version
    python.name = isPlain ? version : `${version} (${python.basePrefix})`
  }
  return { pythons, refused: [...refused.values()] }
}

function byVersion ({ version: one, basePrefix: place }, { version: other, basePrefix: otherPlace }) {
  for (let index = 0; index < 3; index++) {
    if (one[index] !== other[index]) return one[index] - other[index]
  }
  return place < otherPlace ? -1 : 1
}

/** The few that other releases of Node are tried with: the oldest, the newest, and the system's own. */
function selectFew (pythons) {
  const system = pythons.filter(({ basePrefix }) => basePrefix === '/usr')
  return [...new Set([pythons.at(0), ...system.slice(-1), pythons.at(-1)])]
}

function folderOf ({ version, basePrefix }) {
  const place = basePrefix.split(path.sep).filter(Boolean).join('-').replaceAll(/[^\w.-]/g, '_')
  return path.join(FOLDER, `${version.join('.')}-${place}`)
}

/** Makes an empty venv; says how its pip is called. Debian keeps `ensurepip` in python3-venv. */
async function makeEmpty ({ executable }, directory) {
  const options = { env: cleanEnvironment(), quiet: true }
  const python = path.join(directory, BIN, 'python')
  try {
    await run(executable, ['-m', 'venv', '--clear', directory], options)
    return [python, '-m', 'pip']
  } catch {
    await run(executable, ['-m', 'venv', '--clear', '--without-pip', directory], options)
    return [executable, '-m', 'pip', '--python', python]
  }
}

/** A project of one module, installed in the venv as `pip install -e` does it. */
async function installEditable ([pip, ...args], directory) {
  const project = path.join(directory, 'editable-project')
  fs.mkdirSync(path.join(project, 'src'), { recursive: true })
  fs.writeFileSync(path.join(project, 'src', 'matrix_editable.py'), "WHERE = 'pip install -e'\n")
  fs.writeFileSync(path.join(project, 'setup.py'),
    "from setuptools import setup\nsetup(name='matrix-editable', version='1', package_dir={'': 'src'}, py_modules=['matrix_editable'])\n")
  await run(pip, [...args, 'install', '--quiet', '--disable-pip-version-check', '-e', project], { env: cleanEnvironment(), quiet: true })
}

/**
 * A venv of this Python with all of PACKAGES that pip could get for it; made once.
 *
 * @param {Python} python
 * @returns {Promise<{ directory: string, python: string, packages: Record<string, string>, missing: string[] }>}
 *   versions by name (`editable` among them), and what could not be had
 */
async function prepareVenv (python) {
  const directory = folderOf(python)
  const stamp = path.join(directory, STAMP)
  const result = { directory, python: path.join(directory, BIN, 'python') }
  try {
    const { packages, missing } = JSON.parse(fs.readFileSync(stamp, 'utf8'))
    if (PACKAGES.every((name) => name in packages || missing.includes(name))) return { ...result, packages, missing }
  } catch {
    // Not made yet, or not to the end.
  }
  const pip = await makeEmpty(python, directory)
  const missing = []
  const attempt = async (name, work) => {
    try {
      await work()
      return true
    } catch {
      return !missing.push(name)
    }
  }
  const install = (...names) => run(pip[0],
    [...pip.slice(1), 'install', '--quiet', '--disable-pip-version-check', '--only-binary=:all:', ...names],
    { env: cleanEnvironment(), quiet: true })
  try {
    await install(...PACKAGES)
  } catch {
    for (const name of PACKAGES) await attempt(name, () => install(name))
  }
  await attempt('editable', () => installEditable(pip, directory))
  const listed = await run(pip[0], [...pip.slice(1), 'list', '--format=json', '--disable-pip-version-check'], { env: cleanEnvironment(), capture: true })
  const versions = new Map(JSON.parse(listed).map(({ name, version }) => [name.replaceAll('_', '-').toLowerCase(), version]))
  const packages = {}
  for (const name of PACKAGES) if (versions.has(name)) packages[name] = versions.get(name)
  if (!missing.includes('editable')) packages.editable = 'pip install -e'
  const made = { packages, missing }
  fs.writeFileSync(stamp, JSON.stringify(made, null, 2) + '\n')
  return { ...result, ...made }
}

module.exports = { findPythons, prepareVenv, selectFew }

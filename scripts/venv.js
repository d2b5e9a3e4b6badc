'use strict'

// Virtual environments of the demo and the tests, made from an interpreter that can be embedded.
// `node scripts/venv.js <folder> <requirements file>` makes one by hand.

const { execFileSync } = require('node:child_process')
const { createHash } = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { findInterpreter } = require('../lib/interpreter.js')
const { ROOT, ScriptError, run, runMain } = require('./run.js')

const STAMP = '.made-from.json'
const NETWORK_FAILURE = /NewConnectionError|ConnectTimeout|Max retries|Temporary failure in name resolution|ProxyError/

/** Variables that would let another Python's modules in. */
function cleanEnvironment () {
  const env = { ...process.env }
  for (const name of ['PYTHONHOME', 'PYTHONPATH', 'VIRTUAL_ENV', '__PYVENV_LAUNCHER__']) delete env[name]
  return env
}

/** Does the interpreter have a module? */
function canImport (python, name) {
  try {
    execFileSync(python, ['-c', `import ${name}`], { env: cleanEnvironment(), stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** The entries of a folder that a pattern matches, highest version first; none where there is no folder. */
function versionsIn (folder, pattern) {
  const order = new Intl.Collator('en', { numeric: true })
  try {
    return fs.readdirSync(folder).filter((name) => pattern.test(name)).sort((a, b) => order.compare(b, a))
  } catch {
    return []
  }
}

function pyenvRoot () {
  try {
    return execFileSync('pyenv', ['root'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return null
  }
}

/** Where an interpreter may be, in the order of trying: what the user named is the only one then. */
function * candidates () {
  if (process.env.PYTHON) return yield process.env.PYTHON
  yield process.platform === 'win32' ? 'python' : 'python3'
  const pyenv = pyenvRoot()
  if (pyenv !== null) {
    for (const version of versionsIn(path.join(pyenv, 'versions'), /^3\.\d+\.\d+$/)) {
      yield path.join(pyenv, 'versions', version, 'bin', 'python3')
    }
  }
  for (const folder of ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin']) {
    for (const name of versionsIn(folder, /^python3\.\d+$/)) yield path.join(folder, name)
  }
}

/** What the addon's own discovery makes of a candidate: it throws where one cannot be embedded. */
function inspect (candidate) {
  const { executable, version, library } = findInterpreter({ python: candidate, docroot: ROOT, env: cleanEnvironment() })
  return { executable, version: version.join('.'), library }
}

/** The venv's own interpreter. */
function pythonOf (directory) {
  return process.platform === 'win32' ? path.join(directory, 'Scripts', 'python.exe') : path.join(directory, 'bin', 'python')
}

/**
 * Makes an empty venv, and says how pip is called for it. Debian splits `ensurepip` off into
 * python3-venv; virtualenv, or the pip of the interpreter itself, do without it.
 */
async function makeEmpty (python, directory) {
  const options = { env: cleanEnvironment(), quiet: true }
  if (canImport(python, 'venv, ensurepip')) {
    await run(python, ['-m', 'venv', '--clear', directory], options)
    return [pythonOf(directory), '-m', 'pip']
  }
  if (canImport(python, 'virtualenv')) {
    await run(python, ['-m', 'virtualenv', '--quiet', '--clear', directory], options)
    return [pythonOf(directory), '-m', 'pip']
  }
  if (canImport(python, 'venv, pip')) {
    await run(python, ['-m', 'venv', '--clear', '--without-pip', directory], options)
    return [python, '-m', 'pip', '--python', pythonOf(directory)]
  }
  throw new ScriptError('it can make no venv: it has neither `ensurepip` (Debian: python3-venv) nor `virtualenv` nor `pip`')
}

function readStamp (directory) {
  try {
    return JSON.parse(fs.readFileSync(path.join(directory, STAMP), 'utf8'))
  } catch {
    return {}
  }
}

/** Is the venv there, with these requirements, and its base interpreter still installed? */
function isCurrent (stamp, directory, wanted) {
  return stamp.requirements === wanted.requirements && stamp.python === wanted.python &&
    fs.existsSync(pythonOf(directory)) && fs.existsSync(stamp.library)
}

/**
 * Makes a venv with the given requirements, unless it is there.
 *
 * @param {string} name The venv's folder, in the project's folder; git ignores `.venv*`.
 * @param {string} requirements The requirements file, in the project's folder.
 * @returns {Promise<{ directory: string, python: string, version: string }>}
 */
async function makeVenv (name, requirements) {
  const directory = path.join(ROOT, name)
  const content = fs.readFileSync(path.join(ROOT, requirements))
  const wanted = {
    requirements: createHash('sha256').update(content).digest('hex'),
    python: process.env.PYTHON ?? null
  }
  const stamp = readStamp(directory)
  if (isCurrent(stamp, directory, wanted)) return { directory, python: pythonOf(directory), version: stamp.version }

  const refused = []
  const seen = new Set()
  for (const candidate of candidates()) {
    try {
      const interpreter = inspect(candidate)
      if (seen.has(interpreter.executable)) continue
      seen.add(interpreter.executable)
      console.log(`making ${name} with Python ${interpreter.version} (${interpreter.executable})`)
      const [pip, ...args] = await makeEmpty(interpreter.executable, directory)
      await run(pip, [...args, 'install', '--quiet', '--disable-pip-version-check', '-r', requirements], {
        env: cleanEnvironment(),
        quiet: true
      })
      fs.writeFileSync(path.join(directory, STAMP), JSON.stringify({ ...wanted, ...interpreter }, null, 2) + '\n')
      return { directory, python: pythonOf(directory), version: interpreter.version }
    } catch (error) {
      if (NETWORK_FAILURE.test(error.message)) throw error
      refused.push(`  ${candidate}: ${error.message.replaceAll('\n', '\n    ')}`)
    }
  }
  throw new ScriptError([
    'no Python found that can be embedded and can make a venv: version 3.8 or newer, with its shared library',
    '(Debian and Ubuntu: apt install python3-venv libpython3-dev; pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.13).',
    'Set PYTHON to choose one. Tried:',
    ...refused
  ].join('\n'))
}

module.exports = { makeVenv, cleanEnvironment }

if (require.main === module) {
  runMain(async () => {
    const [name, requirements] = process.argv.slice(2)
    if (requirements === undefined) throw new ScriptError('usage: node scripts/venv.js <folder> <requirements file>')
    const { directory, version } = await makeVenv(name, requirements)
    console.log(`${path.relative(process.cwd(), directory)} has Python ${version}`)
  })
}

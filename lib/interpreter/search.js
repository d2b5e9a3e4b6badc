'use strict'

// Where a Python interpreter may be, in the order of preference: the `python` option, VIRTUAL_ENV,
// CONDA_PREFIX, `.venv` in the docroot and in its parent, the one that runs in this process already,
// `python3` and then `python` on PATH.
// Only looks at files; `probe.js` runs what is found here.

const fs = require('node:fs')
const path = require('node:path')
const { PythonHandlerError } = require('../errors')

const WINDOWS = process.platform === 'win32'
const IN_FOLDER = WINDOWS ? ['Scripts\\python.exe', 'python.exe'] : ['bin/python', 'bin/python3']
const ON_PATH = ['python3', 'python']

/**
 * @typedef {object} Candidate
 * @property {string} file absolute path, symbolic links not resolved
 * @property {'option' | 'VIRTUAL_ENV' | 'CONDA_PREFIX' | '.venv' | 'PATH'} source
 * @property {string} label the source in words, for messages
 *
 * @typedef {{ executable: string, library: string }} Running
 */

/**
 * Yields the candidates, best first. One that somebody chose is the only one: when it is broken,
 * nothing else may stand in for it.
 *
 * @param {{ python?: string, docroot: string, env: NodeJS.ProcessEnv, running: () => Running | null }} options
 * @returns {Generator<Candidate | { running: Running }>}
 */
function * search ({ python, docroot, env, running }) {
  if (python !== undefined) {
    yield fromOption(python, env)
    return
  }
  for (const source of ['VIRTUAL_ENV', 'CONDA_PREFIX']) {
    if (env[source]) {
      yield inFolder(path.resolve(env[source]), source, source)
      return
    }
  }
  for (const folder of venvFolders(docroot)) {
    // Without pyvenv.cfg it is something else by that name. With it, it is the application's own
    // environment: falling back from a broken one would only say "No module named …" later.
    if (isFile(path.join(folder, 'pyvenv.cfg'))) {
      yield inFolder(folder, '.venv', '`.venv` by the docroot')
      return
    }
  }
  // One process has one Python: where nobody asks for another, what PATH holds does not matter.
  const present = running()
  if (present !== null) {
    yield { running: present }
    return
  }
  for (const name of ON_PATH) {
    for (const file of onPath(name, env)) {
      yield { file, source: 'PATH', label: 'PATH' }
    }
  }
}

function fromOption (python, env) {
  if (typeof python !== 'string' || python === '' || python.includes('\0')) {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', 'the `python` option has to be a path or the name of a command')
  }
  const label = 'the `python` option'
  if (isCommandName(python)) {
    for (const file of onPath(python, env)) return { file, source: 'option', label }
    throw notFound(`no \`${python}\` on PATH (from ${label}); looked in: ${list(pathFolders(env))}; ` +
      `a file or folder of that name is written \`./${python}\``)
  }
  const file = path.resolve(python)
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  if (stat?.isDirectory()) return inFolder(file, 'option', label)
  return chosen(file, 'option', label)
}

function isCommandName (python) {
  return !python.startsWith('.') && path.basename(python) === python
}

function inFolder (folder, source, label) {
  const files = IN_FOLDER.map(name => path.join(folder, name))
  const file = files.find(isFile)
  if (file === undefined) {
    const why = fs.existsSync(folder) ? brokenLink(files) : 'the folder does not exist'
    throw notFound(`no Python interpreter in \`${folder}\` (from ${label}); looked for: ${list(files)}${why && `; ${why}`}`)
  }
  return chosen(file, source, label)
}

function chosen (file, source, label) {
  if (!isFile(file)) {
    const why = brokenLink([file])
    throw notFound(`no Python interpreter at \`${file}\` (from ${label})${why && `; ${why}`}`)
  }
  if (!isExecutable(file)) {
    throw new PythonHandlerError('ERR_PYTHON_INTERPRETER_FAILED', `\`${file}\` (from ${label}) is not executable`)
  }
  return { file, source, label }
}

/** What a venv looks like after its Python was upgraded or removed. */
function brokenLink (files) {
  for (const file of files) {
    if (fs.lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() && !fs.existsSync(file)) {
      return `\`${file}\` is a link to \`${fs.readlinkSync(file)}\`, which leads nowhere`
    }
  }
  return ''
}

/** Nothing at all was found, and nobody said where to look. */
function nothingFound ({ docroot, env }) {
  return notFound('no Python interpreter found; looked at: VIRTUAL_ENV and CONDA_PREFIX (not set), ' +
    `${list(venvFolders(docroot))} (no pyvenv.cfg), \`python3\` and \`python\` on PATH in ${list(pathFolders(env))}; ` +
    'set VIRTUAL_ENV or the `python` option')
}

function notFound (message) {
  return new PythonHandlerError('ERR_PYTHON_INTERPRETER_NOT_FOUND', message)
}

function venvFolders (docroot) {
  return [...new Set([docroot, path.dirname(docroot)])].map(folder => path.join(folder, '.venv'))
}

function * onPath (name, env) {
  const file = WINDOWS && path.extname(name) === '' ? `${name}.exe` : name
  for (const folder of pathFolders(env)) {
    const found = path.join(folder, file)
    if (isFile(found) && isExecutable(found)) yield found
  }
}

/** Relative and empty entries stand for the current folder: nothing is run from there by chance. */
function pathFolders (env) {
  const key = WINDOWS ? Object.keys(env).find(name => name.toUpperCase() === 'PATH') : 'PATH'
  const folders = (env[key] ?? '').split(path.delimiter).filter(folder => path.isAbsolute(folder))
  return [...new Set(folders)]
}

function isFile (file) {
  try {
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

function isExecutable (file) {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return true
  } catch {
    return false
  }
}

function list (paths) {
  return paths.length === 0 ? 'no folder' : paths.map(name => `\`${name}\``).join(', ')
}

module.exports = { search, nothingFound, isFile, list }

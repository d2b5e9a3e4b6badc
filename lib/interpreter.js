'use strict'

// Which Python the process is going to run, and where its shared library is. Called by the handler
// before anything native is loaded; runs on the JS thread, blocking or not. The steps are written
// once, as a generator that yields the commands to run: only the running differs.
//
//   search (files) ─► probe (runs it once) ─► library (files) ─► Interpreter

const fs = require('node:fs')
const path = require('node:path')
const { PythonHandlerError } = require('./errors')
const { search, nothingFound, isFile } = require('./interpreter/search')
const { probe } = require('./interpreter/probe')
const { findLibrary } = require('./interpreter/library')

const TIME_LIMIT = 10000

// The last answer of each file, with the environment it was given in: a second handler spawns
// nothing. Failures are not kept, so that they can be put right while the process runs.
const answers = new Map()

/**
 * @typedef {object} Interpreter
 * @property {string} executable what `sys.executable` has to be; a venv's own, links not resolved
 * @property {[number, number, number]} version
 * @property {string} prefix `sys.prefix`
 * @property {string} basePrefix `sys.base_prefix`
 * @property {string} library absolute path of libpython
 * @property {'option' | 'VIRTUAL_ENV' | 'CONDA_PREFIX' | '.venv' | 'PATH'} source what named it
 */

/**
 * Finds the interpreter: `python` option, VIRTUAL_ENV, CONDA_PREFIX, `.venv` in the docroot or its
 * parent, the one that runs, `python3` or `python` on PATH. Blocks while the interpreter is asked what it is.
 *
 * @param {object} [options]
 * @param {string} [options.python] an executable, a venv's folder, or a command's name
 * @param {string} [options.docroot] the current folder by default
 * @param {NodeJS.ProcessEnv} [options.env] `process.env` by default
 * @param {number} [options.timeout] milliseconds the interpreter may take to answer
 * @param {() => { executable: string, library: string } | null} [options.running] tells the interpreter that runs in this
 *   process; of that one, no more than this and the source is returned
 * @returns {Readonly<Interpreter>}
 * @throws {PythonHandlerError} ERR_PYTHON_INTERPRETER_NOT_FOUND, ERR_PYTHON_INTERPRETER_FAILED,
 *   ERR_PYTHON_VERSION_UNSUPPORTED, ERR_PYTHON_FREE_THREADED, ERR_PYTHON_LIBRARY_NOT_FOUND,
 *   ERR_PYTHON_INVALID_ARGUMENT
 */
function findInterpreter (options) {
  const steps = discover(options)
  let step = steps.next()
  while (!step.done) step = steps.next(runSync(step.value))
  return step.value
}

/**
 * As `findInterpreter`, without blocking.
 *
 * @param {object} [options] those of `findInterpreter`
 * @returns {Promise<Readonly<Interpreter>>}
 */
async function findInterpreterAsync (options) {
  const steps = discover(options)
  let step = steps.next()
  while (!step.done) step = steps.next(await run(step.value))
  return step.value
}

function * discover ({ python, docroot = process.cwd(), env = process.env, timeout = TIME_LIMIT, running = () => null } = {}) {
  const where = { python, docroot: path.resolve(docroot), env, running }
  let failure
  for (const candidate of search(where)) {
    if (candidate.running) return Object.freeze({ ...candidate.running, source: 'PATH' })
    try {
      const facts = yield * ask(candidate, where, timeout)
      return describe(facts, candidate)
    } catch (error) {
      // PATH may hold a shim with nothing behind it; the next candidate is as good, and there is one
      // only on PATH. One that runs but cannot be used is what the user's own `python3` is: an error.
      if (error.code !== 'ERR_PYTHON_INTERPRETER_FAILED') throw error
      failure ??= error
    }
  }
  throw failure ?? nothingFound(where)
}

function * ask (candidate, { docroot, env }, timeout) {
  const { file } = candidate
  const childEnv = { ...env }
  // Run in `/`, pyenv's shim would not see the application's .python-version.
  if (!env.PYENV_DIR && isFolder(docroot)) childEnv.PYENV_DIR = docroot

  const key = JSON.stringify(childEnv)
  const known = answers.get(file)
  if (known?.key === key) return known.facts

  const questions = probe(candidate, timeout)
  let question = questions.next()
  while (!question.done) question = questions.next(yield { file, args: question.value, env: childEnv, timeout })

  if (env.PYTHONHOME) yield * checkHome(file, childEnv, timeout)
  answers.set(file, { key, facts: question.value })
  return question.value
}

/** The probe does not see PYTHONHOME; CPython would end the process that it cannot start in. */
function * checkHome (file, env, timeout) {
  const { status, stderr } = yield { file, args: ['-s', '-S', '-c', ''], env: { ...env, PYTHONPATH: undefined }, timeout }
  if (status === 0) return
  throw new PythonHandlerError('ERR_PYTHON_START',
    `\`${file}\` does not start with PYTHONHOME=${env.PYTHONHOME}; it wrote: ${stderr.trim().slice(-2000)}`)
}

function describe (facts, candidate) {
  // A shim reports the interpreter behind it, a venv's link reports itself.
  const executable = path.isAbsolute(facts.executable ?? '') ? facts.executable : candidate.file
  return Object.freeze({
    executable,
    version: Object.freeze(facts.version),
    prefix: venvPrefix(executable) ?? facts.prefix,
    basePrefix: facts.basePrefix,
    library: findLibrary(facts, candidate),
    source: candidate.source
  })
}

/** What `site` makes of pyvenv.cfg; the probe runs without `site`. */
function venvPrefix (executable) {
  const folder = path.dirname(executable)
  const prefix = path.dirname(folder)
  const isVenv = [folder, prefix].some(place => isFile(path.join(place, 'pyvenv.cfg')))
  return isVenv ? prefix : undefined
}

function isFolder (folder) {
  return fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function runSync ({ file, args, env, timeout }) {
  const { spawnSync } = require('node:child_process')
  const { stdout, stderr, status, signal, error } = spawnSync(file, args, {
    cwd: '/',
    env,
    timeout,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    windowsHide: true
  })
  return {
    stdout: stdout ?? '',
    stderr: stderr ?? '',
    status,
    signal,
    error,
    timedOut: error?.code === 'ETIMEDOUT'
  }
}

function run ({ file, args, env, timeout }) {
  const { execFile } = require('node:child_process')
  return new Promise(resolve => {
    const options = { cwd: '/', env, timeout, killSignal: 'SIGKILL', encoding: 'utf8', windowsHide: true }
    const settle = (error, stdout = '', stderr = '') => resolve({
      stdout,
      stderr,
      status: error === null ? 0 : typeof error.code === 'number' ? error.code : null,
      signal: error?.signal ?? null,
      error: typeof error?.code === 'string' ? error : undefined,
      timedOut: error?.killed === true && typeof error.code !== 'string'
    })
    try {
      execFile(file, args, options, settle).stdin?.destroy()
    } catch (error) {
      // Some errors of exec are thrown, others are passed to the callback.
      settle(error)
    }
  })
}

module.exports = { findInterpreter, findInterpreterAsync }

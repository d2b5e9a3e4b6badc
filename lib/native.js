'use strict'

// Loads libpython and then the addon, whose undefined `Py*` symbols it satisfies. Called by the
// handler, on the JS thread of every Node environment (main thread, worker_threads); libpython and
// the interpreter in it are the process's, so every environment has to ask for the same one.
//
//   locate the addon ─► refuse a second Python ─► libpython ─► addon ─► refuse a second Python
//
// What only PATH names gives way to the one that runs.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { PythonHandlerError } = require('./errors')

const SUPPORTED = [
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64-msvc'
]

// Node closes a library that turns out to be no addon; with this flag it stays. Not in os.constants.
const RTLD_NODELETE = { linux: 0x1000, darwin: 0x80 }

// This environment's addon, and the interpreter it was loaded for.
let loaded

/**
 * Loads libpython and the addon, once per environment.
 *
 * @param {import('./interpreter').Interpreter} interpreter
 * @param {object} [options]
 * @param {boolean} [options.deepbind] let libpython prefer its own libraries' symbols to those Node
 *   exports (OpenSSL, zlib); true by default, glibc only
 * @returns {object} the addon's exports
 * @throws {PythonHandlerError} ERR_PYTHON_INTERPRETER_CONFLICT, ERR_PYTHON_LIBRARY_LOAD,
 *   ERR_PYTHON_ADDON_NOT_FOUND, ERR_PYTHON_ADDON_LOAD
 */
function loadNative (interpreter, { deepbind = true } = {}) {
  const givesWay = interpreter.source === 'PATH'
  const wanted = (givesWay && startedInterpreter()) || interpreter
  if (loaded === undefined) {
    const addon = locateAddon()
    refuseSecondLibrary(wanted)
    loadLibrary(wanted, deepbind)
    const native = loadAddon(addon)
    const started = native.startedInterpreter()
    // Where the system does not list what is mapped, it is only known now.
    if (!givesWay) refuseSecond(wanted, started)
    loaded = { native, interpreter: started ?? wanted }
    return native
  }
  refuseSecond(wanted, loaded.native.startedInterpreter() ?? loaded.interpreter)
  return loaded.native
}

/**
 * The interpreter that runs in this process. An environment that has not loaded the addon yet learns of one that another
 * has started where the system lists what is mapped.
 *
 * @returns {{ executable: string, library: string } | null}
 */
function startedInterpreter () {
  if (loaded !== undefined) return loaded.native.startedInterpreter()
  if (process.platform !== 'linux') return null
  const addon = locateAddon()
  // Mapped, it has its libpython already.
  const isThere = mapped().includes(real(addon))
  return isThere ? loadAddon(addon).startedInterpreter() : null
}

/**
 * The name of this platform in the names of addon and package.
 *
 * @returns {string} e.g. `linux-x64-gnu`
 */
function platformName () {
  const { platform, arch } = process
  if (platform === 'linux') return `linux-${arch}-${isMusl() ? 'musl' : 'gnu'}`
  if (platform === 'win32') return `win32-${arch}-msvc`
  return `${platform}-${arch}`
}

function isMusl () {
  // glibc's header has this flag and musl's has not, and Node lists what its headers have. The
  // report says it in words, for 4 ms.
  if (os.constants.dlopen.RTLD_DEEPBIND !== undefined) return false
  const { excludeNetwork } = process.report
  process.report.excludeNetwork = true
  const { glibcVersionRuntime } = process.report.getReport().header
  process.report.excludeNetwork = excludeNetwork
  return glibcVersionRuntime === undefined
}

/** The addon's file: PYTHON_NODE_NATIVE_PATH alone if set, else beside index.js, else the package. */
function locateAddon () {
  const chosen = process.env.PYTHON_NODE_NATIVE_PATH
  if (chosen) {
    const file = path.resolve(chosen)
    if (fs.existsSync(file)) return file
    throw new PythonHandlerError('ERR_PYTHON_ADDON_NOT_FOUND', `no addon at \`${file}\` (from PYTHON_NODE_NATIVE_PATH)`)
  }
  const platform = platformName()
  const local = path.join(__dirname, '..', `python-node.${platform}.node`)
  if (fs.existsSync(local)) return local

  const name = `@platformatic/python-node-${platform}`
  try {
    const file = require.resolve(name)
    refuseOtherVersion(name)
    return file
  } catch (cause) {
    if (cause instanceof PythonHandlerError) throw cause
    const advice = SUPPORTED.includes(platform)
      ? 'install without `--omit=optional`, on the platform it is to run on'
      : `supported platforms: ${SUPPORTED.join(', ')}`
    throw new PythonHandlerError('ERR_PYTHON_ADDON_NOT_FOUND',
      `no addon for \`${platform}\`; looked for: \`${local}\`, the package \`${name}\`; ${advice}`, { cause })
  }
}

function refuseOtherVersion (name) {
  const ours = require('../package.json').version
  const theirs = require(`${name}/package.json`).version
  if (theirs !== ours) {
    throw new PythonHandlerError('ERR_PYTHON_ADDON_NOT_FOUND',
      `the package \`${name}\` has version ${theirs}, and ${ours} is needed: reinstall the dependencies`)
  }
}

function loadLibrary ({ library }, deepbind) {
  if (process.platform === 'win32') {
    // No flag keeps a library there. The addon imports it by name, and Windows looks in PATH.
    process.env.PATH = `${path.dirname(library)}${path.delimiter}${process.env.PATH}`
    return
  }
  const { RTLD_NOW, RTLD_GLOBAL, RTLD_DEEPBIND = 0 } = os.constants.dlopen
  const flags = RTLD_NOW | RTLD_GLOBAL | (RTLD_NODELETE[process.platform] ?? 0) | (deepbind ? RTLD_DEEPBIND : 0)
  try {
    process.dlopen({ exports: {} }, library, flags)
  } catch (cause) {
    // libpython is no addon, and Node says so: by then it is loaded.
    if (cause.message.startsWith('Module did not self-register')) return
    throw new PythonHandlerError('ERR_PYTHON_LIBRARY_LOAD', `cannot load \`${library}\`: ${cause.message}`, { cause })
  }
}

function loadAddon (file) {
  try {
    return require(file)
  } catch (cause) {
    throw new PythonHandlerError('ERR_PYTHON_ADDON_LOAD', `cannot load the addon \`${file}\`: ${cause.message}`, { cause })
  }
}

/**
 * Refuses when another libpython is in the process already, loaded by another environment or by
 * another addon: with two of them, extension modules would take symbols of either. Where the system
 * does not list what is mapped, the check after loading has to do.
 */
function refuseSecondLibrary ({ library, executable }) {
  const wanted = real(library)
  for (const file of mapped()) {
    if (/\/libpython\d\.\d+[^/]*\.so[^/]*$/.test(file) && file !== wanted) {
      throw conflict(`\`${executable}\` with \`${library}\``, `\`${file}\``)
    }
  }
}

/** The files that are mapped into the process, links resolved; none where the system does not list them. */
function mapped () {
  if (process.platform !== 'linux') return []
  try {
    return [...new Set(fs.readFileSync('/proc/self/maps', 'utf8').match(/\/.*$/gm))]
  } catch {
    return []
  }
}

function refuseSecond (wanted, started) {
  if (started === null || isSame(wanted, started)) return
  throw conflict(`\`${wanted.executable}\` with \`${wanted.library}\``, `\`${started.executable}\` with \`${started.library}\``)
}

function conflict (wanted, present) {
  return new PythonHandlerError('ERR_PYTHON_INTERPRETER_CONFLICT',
    `a process runs one Python: asked for ${wanted}, and it has already loaded ${present}`)
}

/** `bin/python` and `bin/python3` of one folder are the same interpreter; two venvs are not. */
function isSame (one, other) {
  if (one.executable === other.executable && one.library === other.library) return true
  return real(one.library) === real(other.library) &&
    real(one.executable) === real(other.executable) &&
    real(path.dirname(one.executable)) === real(path.dirname(other.executable))
}

function real (file) {
  try {
    return fs.realpathSync(file)
  } catch {
    return file
  }
}

module.exports = { loadNative, platformName, startedInterpreter }

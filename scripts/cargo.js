'use strict'

// Cargo, called with the environment that every build of the crate shares: with another one, PyO3 and
// all that depends on it would be compiled again.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { run } = require('./run.js')

const ENVIRONMENT = {
  // The addon links no libpython: its symbols come from the library that index.js loads.
  PYO3_BUILD_EXTENSION_MODULE: '1',
  // The stable ABI needs no interpreter to build against, so none is asked.
  PYO3_NO_PYTHON: '1'
}

const MISSING = 'cargo was not found on PATH: install Rust, stable 1.88 or newer (https://rustup.rs)'

/** The environment's name for PATH: Windows knows it as `Path`. */
function pathKey (env) {
  return Object.keys(env).find((name) => name.toUpperCase() === 'PATH') ?? 'PATH'
}

/** Where rustup puts cargo, when PATH does not lead there: an editor's terminal may lack it. */
function folderOffPath () {
  const name = process.platform === 'win32' ? 'cargo.exe' : 'cargo'
  const folders = (process.env[pathKey(process.env)] ?? '').split(path.delimiter).filter(Boolean)
  if (folders.some((folder) => fs.existsSync(path.join(folder, name)))) return null
  const folder = path.join(process.env.CARGO_HOME ?? path.join(os.homedir(), '.cargo'), 'bin')
  return fs.existsSync(path.join(folder, name)) ? folder : null
}

/**
 * @param {string[]} args
 * @param {object} [options] As those of `run`.
 * @returns {Promise<string>}
 */
function cargo (args, options = {}) {
  const env = { ...process.env, ...ENVIRONMENT, ...options.env }
  const folder = folderOffPath()
  if (folder !== null) {
    const key = pathKey(env)
    env[key] = `${env[key] ?? ''}${path.delimiter}${folder}`
  }
  return run('cargo', args, { ...options, env, missing: MISSING })
}

module.exports = { cargo }

'use strict'

// The published package, made to load. Its binary is linked against one libpython by name; its own
// install script patches that name to some Python it finds, which need not be the benchmark's. So
// the script is not run, and the name is written here, into a copy in .cache.

const { execFileSync } = require('node:child_process')
const { readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { installPackages } = require('./packages')

const VERSION = '2.0.0'
const PACKAGE = '@platformatic/python-node'
const PLATFORMS = {
  'linux-x64': 'linux-x64-gnu',
  'darwin-arm64': 'darwin-arm64'
}

/**
 * Installs the package and proves that it loads.
 * @param {{ version: string, library: string, libraryFolder: string }} interpreter
 * @returns {string} the path to require
 * @throws {Error} saying why it can't take part
 */
function preparePublished (interpreter) {
  const platform = PLATFORMS[`${process.platform}-${process.arch}`]
  if (!platform) throw new Error(`it has no binary for ${process.platform}-${process.arch}`)
  // Version 2.0.0 asks for the binary `^0.1.4`; its own is 2.0.0 like itself.
  const binary = `${PACKAGE}-${platform}`
  const modules = installPackages('published', {
    dependencies: { [PACKAGE]: VERSION },
    overrides: { [binary]: VERSION }
  })
  if (process.platform === 'linux') {
    nameLibrary(join(modules, binary, `python-node.${platform}.node`), interpreter)
  }
  const path = join(modules, PACKAGE)
  try {
    execFileSync(process.execPath, ['-e', 'require(process.argv[1])', path], {
      env: { ...process.env, LD_LIBRARY_PATH: interpreter.libraryFolder },
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8'
    })
  } catch (error) {
    const reason = /^\w*Error.*$/m.exec(error.stderr)?.[0] ?? error.message
    throw new Error(`it does not load: ${reason}`, { cause: error })
  }
  return path
}

function nameLibrary (file, { library }) {
  const content = readFileSync(file, 'latin1')
  const [linked] = /libpython3\.\d+\.so\.1\.0\0/.exec(content) ?? []
  if (!linked) throw new Error('its binary names no libpython')
  const wanted = `${library}\0`
  if (linked === wanted) return
  if (wanted.length > linked.length) throw new Error(`no room in its binary for ${library}`)
  writeFileSync(file, content.replace(linked, wanted.padEnd(linked.length, '\0')), 'latin1')
}

module.exports = { preparePublished }

'use strict'

// The file of libpython that belongs to an interpreter. Every candidate is checked on disk:
// sysconfig names the library even where no package has installed it, and conda's names a static one.

const fs = require('node:fs')
const path = require('node:path')
const { PythonHandlerError } = require('../errors')
const { isFile, list } = require('./search')

/**
 * Absolute path of the interpreter's shared library.
 *
 * @param {object} facts what the interpreter said about itself (`probe.js`)
 * @param {{ file: string, label: string }} candidate for the message
 * @param {NodeJS.Platform} [platform]
 * @returns {string}
 */
function findLibrary (facts, candidate, platform = process.platform) {
  // The library the interpreter itself runs on. It needs no second look elsewhere: LIBDIR may by now
  // be another installation's, when this one was moved or copied.
  if (facts.mapped && isFile(facts.mapped)) return facts.mapped

  const files = [...new Set(places(facts, platform))]
  const found = files.find(isFile)
  if (found !== undefined) return found

  const version = facts.version.join('.')
  throw new PythonHandlerError('ERR_PYTHON_LIBRARY_NOT_FOUND',
    `Python ${version} at \`${candidate.file}\` (from ${candidate.label}) has no shared library; ` +
    `looked for: ${list(files)}; ${hint(facts, platform)}`)
}

function * places (facts, platform) {
  if (platform === 'win32') {
    const [major, minor] = facts.version
    for (const folder of [facts.basePrefix, facts.baseExecPrefix]) {
      yield path.join(folder, `python${major}${minor}.dll`)
    }
    return
  }
  const { LIBDIR, LIBPL, MULTIARCH, PYTHONFRAMEWORK, PYTHONFRAMEWORKPREFIX } = facts.config ?? {}
  if (platform === 'darwin' && PYTHONFRAMEWORK) {
    const [major, minor] = facts.version
    const inside = path.join(`${PYTHONFRAMEWORK}.framework`, 'Versions', `${major}.${minor}`, PYTHONFRAMEWORK)
    if (PYTHONFRAMEWORKPREFIX) yield path.join(PYTHONFRAMEWORKPREFIX, inside)
    yield path.join(facts.basePrefix, PYTHONFRAMEWORK)
  }
  const folders = [LIBDIR, path.join(facts.basePrefix, 'lib'), LIBPL]
  // Only for the system's own Python: another installation's static interpreter must not be given
  // the system's library of the same minor version.
  if (facts.basePrefix === '/usr' && MULTIARCH) folders.push(`/usr/lib/${MULTIARCH}`)

  for (const folder of folders) {
    if (!folder) continue
    for (const name of names(facts, platform)) yield path.join(folder, name)
  }
}

function names ({ version: [major, minor], abiflags, config = {} }, platform) {
  const stem = `libpython${major}.${minor}${abiflags ?? ''}`
  const usual = platform === 'darwin' ? [`${stem}.dylib`] : [`${stem}.so.1.0`, `${stem}.so`]
  return [config.INSTSONAME, config.LDLIBRARY, ...usual].filter(name => name && !name.endsWith('.a'))
}

/** Who brings the library, by where the interpreter comes from. */
function hint ({ version: [major, minor, patch], basePrefix }, platform) {
  const short = `${major}.${minor}`
  if (platform === 'win32') {
    return 'the Microsoft Store\'s Python cannot be loaded: install the one from python.org'
  }
  if (fs.existsSync(path.join(basePrefix, 'conda-meta'))) {
    return `reinstall it: \`conda install --force-reinstall python=${short}\``
  }
  if (basePrefix === '/usr') {
    return `install the package \`libpython${short}\` (Debian, Ubuntu) or \`python3-libs\` (Fedora, RHEL)`
  }
  if (/[\\/]versions[\\/][^\\/]+$/.test(basePrefix)) {
    return `build it with one: \`PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --force ${short}.${patch}\``
  }
  return 'build Python with `--enable-shared`, or take one that has it: `libpython3` of Debian or Ubuntu, ' +
    '`python3-libs` of Fedora, pyenv with `PYTHON_CONFIGURE_OPTS=--enable-shared`, conda or uv'
}

module.exports = { findLibrary }

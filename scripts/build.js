'use strict'

// `npm run build`: the addon, in release, at the root of the project. Nothing is done when the file
// there was built from the sources as they are.

const { createHash } = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { platformName } = require('../lib/native.js')
const { cargo } = require('./cargo.js')
const { ROOT, ScriptError, runMain } = require('./run.js')

const SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', '.cargo/config.toml', 'src']

/** Every file below a path, in a fixed order. */
function filesOf (name) {
  const full = path.join(ROOT, name)
  const stat = fs.statSync(full, { throwIfNoEntry: false })
  if (stat === undefined) return []
  if (!stat.isDirectory()) return [name]
  return fs.readdirSync(full).sort().flatMap((entry) => filesOf(`${name}/${entry}`))
}

/** A checksum of all that the addon is made from. */
function hashSources () {
  const hash = createHash('sha256')
  for (const name of SOURCES.flatMap(filesOf)) {
    const content = fs.readFileSync(path.join(ROOT, name))
    hash.update(`${name}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

/** What the stamp says of a file: another one in its place counts as not built. */
function describe (file) {
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  return stat && `${stat.size} bytes, ${stat.mtimeMs}`
}

function readStamp (file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch {
    return {}
  }
}

/** The shared library among the files that cargo says it made. */
function libraryOf (messages) {
  for (const line of messages.split('\n')) {
    if (!line.startsWith('{')) continue
    const message = JSON.parse(line)
    if (message.reason !== 'compiler-artifact' || message.target.name !== 'python_node') continue
    const library = message.filenames.find((name) => /\.(so|dylib|dll)$/.test(name))
    if (library) return library
  }
  throw new ScriptError('cargo built no shared library named `python_node`: see `[lib]` in Cargo.toml')
}

/** A new file takes the old one's place at once: a process that has the old one loaded keeps it. */
function replaceFile (source, destination) {
  const temporary = `${destination}.${process.pid}.tmp`
  try {
    fs.copyFileSync(source, temporary)
    fs.renameSync(temporary, destination)
  } catch (cause) {
    fs.rmSync(temporary, { force: true })
    throw new ScriptError(`cannot replace \`${destination}\`: ${cause.message}; does a running process use it?`, { cause })
  }
}

/**
 * Builds the addon if its sources changed.
 *
 * @returns {Promise<{ file: string, built: boolean }>}
 */
async function build () {
  if (!fs.existsSync(path.join(ROOT, 'Cargo.toml'))) {
    throw new ScriptError(`there is no Cargo.toml in \`${ROOT}\`: the addon is built in a clone of the repository`)
  }
  const file = path.join(ROOT, `python-node.${platformName()}.node`)
  const stampFile = `${file}.json`
  const sources = hashSources()
  const stamp = readStamp(stampFile)
  if (stamp.sources === sources && stamp.file !== undefined && stamp.file === describe(file)) return { file, built: false }

  console.log(`building ${path.basename(file)} (a first build takes minutes)`)
  const locked = process.env.CI ? ['--locked'] : []
  const messages = await cargo(['build', '--release', '--lib', ...locked, '--message-format=json-render-diagnostics'], { capture: true })
  replaceFile(libraryOf(messages), file)
  // The sources as they were before: an edit made meanwhile is not in the file.
  fs.writeFileSync(stampFile, JSON.stringify({ sources, file: describe(file) }) + '\n')
  return { file, built: true }
}

module.exports = { build }

if (require.main === module) {
  runMain(async () => {
    const { file, built } = await build()
    console.log(`${path.relative(process.cwd(), file)} ${built ? 'built' : 'is up to date'}`)
  })
}

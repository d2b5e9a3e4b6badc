'use strict'

// `npm run lint`: all that can be said of the sources without running them. Every check runs, so that
// one look shows all there is to do.

const path = require('node:path')
const { cargo } = require('./cargo.js')
const { checkImports } = require('./check-imports.js')
const { checkVersions } = require('./check-versions.js')
const { installPackages } = require('./packages.js')
const { ROOT, ScriptError, run, runMain } = require('./run.js')
const { checkTypes } = require('./types.js')

/** Runs a command of a development dependency. */
function runPackage (file, ...args) {
  return run(process.execPath, [path.join(ROOT, 'node_modules', file), ...args])
}

/** Fails with the list where there is one. */
function report (problems) {
  if (problems.length > 0) throw new ScriptError(problems.join('\n'))
}

const CLIPPY = ['clippy', '--quiet', '--all-targets']
const WARNINGS = ['--', '-D', 'warnings']

const CHECKS = {
  'import arrows of src/': async () => report(checkImports()),
  'versions of the packages': async () => report(checkVersions()),
  'index.d.ts and http.d.ts, as written from the doc comments': async () => report(checkTypes()),
  'JavaScript (eslint)': () => runPackage('eslint/bin/eslint.js', '.'),
  'types (tsc)': () => runPackage('typescript/bin/tsc', '--project', 'test/types'),
  'Rust format': () => cargo(['fmt', '--check']),
  // Cargo.lock is a generated file: it has to be the one that Cargo.toml asks for.
  'Rust, every feature (clippy)': () => cargo([...CLIPPY, '--locked', '--all-features', ...WARNINGS]),
  'Rust, as cargo test builds it (clippy)': () => cargo([...CLIPPY, '--locked', '--no-default-features', ...WARNINGS])
}

async function lint () {
  await installPackages()
  const failed = []
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      await check()
      console.log(`ok      ${name}`)
    } catch (error) {
      failed.push(name)
      console.log(`FAILED  ${name}`)
      console.error(error instanceof ScriptError ? error.message : error)
    }
  }
  if (failed.length > 0) throw new ScriptError(`lint: ${failed.length} of ${Object.keys(CHECKS).length} checks failed: ${failed.join(', ')}`)
}

runMain(lint)

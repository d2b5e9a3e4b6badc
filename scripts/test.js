'use strict'

// `npm test`: builds the addon if needed, makes the tests' venv, runs the Rust tests and the Node tests.
//
//   npm test                          everything
//   npm test -- request headers       the Node tests of files whose names hold one of these words
//   npm test -- --test-name-pattern=… options go to Node's test runner

const fs = require('node:fs')
const path = require('node:path')
const { build } = require('./build.js')
const { cargo } = require('./cargo.js')
const { installPackages } = require('./packages.js')
const { ROOT, ScriptError, run, runMain } = require('./run.js')
const { cleanEnvironment, makeVenv } = require('./venv.js')

// Milliseconds a file of tests may take: a hang fails the run, and no correct file on a slow machine does.
const FILE_TIME_LIMIT = 600_000

// Results as they come, then how long each file took.
const REPORTERS = [
  '--test-reporter=spec', '--test-reporter-destination=stdout',
  '--test-reporter=./scripts/file-times.js', '--test-reporter-destination=stdout'
]

/** The test files of test/ and its folders whose names hold one of the words; all of them without words. */
function selectFiles (words) {
  const files = fs.readdirSync(path.join(ROOT, 'test'), { recursive: true })
    .filter((name) => name.endsWith('.test.mjs'))
    .map((name) => path.join('test', name))
    .sort()
  const selected = files.filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
  if (selected.length === 0) throw new ScriptError(`no file in test/ is named after: ${words.join(', ')}`)
  return selected
}

async function test () {
  const options = process.argv.slice(2).filter((argument) => argument.startsWith('-'))
  const words = process.argv.slice(2).filter((argument) => !argument.startsWith('-'))
  const files = selectFiles(words)

  await installPackages()
  await build()
  const { directory, version } = await makeVenv('.venv-test', 'test/requirements.txt')
  console.log(`Node ${process.version} (${process.execPath})`)
  console.log(`Python ${version} (${directory})`)

  if (words.length === 0) {
    // Without the feature `addon`: a test's executable has neither Node nor CPython to link to.
    await cargo(['test', '--quiet', '--lib', '--no-default-features'])
  }
  const reporter = options.some((option) => option.startsWith('--test-reporter')) ? [] : REPORTERS
  const runner = ['--test', `--test-timeout=${FILE_TIME_LIMIT}`, ...reporter, ...options, ...files]
  try {
    await run(process.execPath, runner, { env: { ...cleanEnvironment(), VIRTUAL_ENV: directory } })
  } catch (error) {
    // The runner has said what failed; its summary is the last thing to read.
    process.exitCode = error.exitCode ?? 1
  }
}

runMain(test)

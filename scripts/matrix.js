'use strict'

// `npm run test:matrix`: the same binary with every Python of this machine, and with every supported Node.
//
//   npm run test:matrix               every Python, with and without a venv, in this Node
//   npm run test:matrix -- --node     also each of Node's release lines, from npm, with a few Pythons
//   npm run test:matrix -- --suite    also the Node tests in each Python's venv (with --node: under each Node, the newest's)
//
// Writes what it found to docs/python-matrix.md.

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { build } = require('./build.js')
const { CHECKS, runCombination } = require('./matrix/combination.js')
const { findNodes } = require('./matrix/nodes.js')
const { findPythons, prepareVenv, selectFew } = require('./matrix/pythons.js')
const { installPackages } = require('./packages.js')
const { ROOT, runMain } = require('./run.js')
const { cleanEnvironment } = require('./venv.js')

const PAGE = path.join(ROOT, 'docs', 'python-matrix.md')

/** Not under another Python or Node: they run every combination themselves, need packages that the venvs of the matrix
 * do not have, or measure processes for minutes. */
const OUTSIDE_THE_SUITE = ['python-matrix.test.mjs', 'opentelemetry.test.mjs', 'exit.test.mjs', 'workers.test.mjs', 'garbage.test.mjs']

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

function table (head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n')
}

/** Runs the Node tests; resolves to `passed/all`, and the names of those that failed. */
function runSuite (node, venv) {
  const files = fs.readdirSync(path.join(ROOT, 'test'))
    .filter((name) => name.endsWith('.test.mjs') && !OUTSIDE_THE_SUITE.includes(name))
    .map((name) => path.join('test', name))
  return new Promise((resolve, reject) => {
    const env = { ...cleanEnvironment(), VIRTUAL_ENV: venv.directory }
    const child = spawn(node, ['--test', '--test-timeout=600000', '--test-reporter=tap', ...files], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text) => { output += text })
    child.on('error', reject)
    child.on('close', (code) => {
      const count = (name) => Number(output.match(new RegExp(`^# ${name} (\\d+)$`, 'm'))?.[1] ?? 0)
      const failed = [...output.matchAll(/^\s*not ok \d+ - (.*)$/gm)].map(([, name]) => name)
      resolve({ passed: code === 0, note: `${count('pass')} of ${count('tests') - count('skipped')}`, failed })
    })
  })
}

/** Runs one combination, prints its line, and returns its row of the table. */
async function row (labels, work, failures) {
  const results = await work()
  const failed = Object.entries(results).filter(([, { passed }]) => !passed)
  for (const [name, { note }] of failed) failures.push(`${labels.join(', ')}: ${name}: ${note}`)
  console.log(`${labels.join(', ')}: ${failed.length === 0 ? 'ok' : `FAILED: ${failed.map(([name]) => name).join('; ')}`}`)
  return [...labels, ...Object.values(results).map(({ passed, note }) => (passed ? note || 'ok' : 'FAILED'))]
}

async function matrix () {
  const withNodes = process.argv.includes('--node')
  const withSuite = process.argv.includes('--suite')
  await installPackages()
  // The addon that the environment names is tested as it is.
  if (!process.env.PYTHON_NODE_NATIVE_PATH) await build()
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'python-node-matrix-'))
  try {
    const { pythons, refused } = findPythons()
    for (const { file, code } of refused) console.log(`not run: ${file}: ${code}`)
    const venvs = new Map()
    for (const python of pythons) venvs.set(python, await prepareVenv(python))

    const failures = []
    const checks = (options) => async () => {
      const results = await runCombination({
        ...options,
        venv: venvs.get(options.python),
        directory: fs.mkdtempSync(path.join(directory, 'case-'))
      })
      if (withSuite && options.withVenv && (options.node === undefined || options.python === pythons.at(-1))) {
        const suite = await runSuite(options.node ?? process.execPath, venvs.get(options.python))
        results['test suite'] = suite
        failures.push(...suite.failed.map((name) => `${options.python.name}: test suite: ${name}`))
      } else if (withSuite) {
        results['test suite'] = { passed: true, note: '–' }
      }
      return results
    }
    const columns = [...Object.keys(CHECKS), ...(withSuite ? ['test suite'] : [])]
    const ofPython = []
    for (const python of pythons) {
      for (const withVenv of [false, true]) {
        ofPython.push(await row([python.name, withVenv ? 'yes' : 'no'], checks({ python, withVenv }), failures))
      }
    }
    const ofNode = []
    const { nodes, missing } = withNodes ? await findNodes() : { nodes: [], missing: [] }
    for (const { line, message } of missing) failures.push(`Node ${line}: ${message}`)
    for (const { version, node } of nodes) {
      for (const python of selectFew(pythons)) {
        ofNode.push(await row([version, python.name], checks({ node, python, withVenv: true }), failures))
      }
    }
    write({ columns, ofPython, ofNode, refused, pythons, venvs })
    for (const failure of failures) console.error(`\n${failure}`)
    if (failures.length > 0) process.exitCode = 1
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

/** `3.6.15 python3` of a file in a folder of its version. */
function nameOf (file) {
  const version = path.basename(path.dirname(path.dirname(file)))
  return /^\d/.test(version) ? `${version} ${path.basename(file)}` : path.basename(file)
}

function write ({ columns, ofPython, ofNode, refused, pythons, venvs }) {
  const lines = [
    '# Python matrix',
    '',
    'Written by `npm run test:matrix -- --node --suite` (`scripts/matrix.js`; each option adds its part). One binary,',
    'every row in a process of its own. What is compared is what the interpreter says outside Node.',
    '',
    `Node ${process.version}, ${process.platform} ${process.arch}, glibc ${process.report.getReport().header.glibcVersionRuntime ?? 'none'}.`,
    '',
    table(['Python', 'venv', ...columns], ofPython)
  ]
  if (ofNode.length > 0) {
    lines.push('', '## Under other releases of Node, in the venv', '', table(['Node', 'Python', ...columns], ofNode))
  }
  lines.push('', '## Packages in the venvs', '', table(['Python', 'packages', 'could not be had'], pythons.map((python) => {
    const { packages, missing } = venvs.get(python)
    const had = Object.entries(packages).filter(([name]) => name !== 'editable').map(([name, version]) => `${name} ${version}`)
    return [python.name, had.join(', '), missing.join(', ') || 'nothing']
  })))
  if (refused.length > 0) {
    lines.push('', '## Not run', '', table(['interpreter', 'error'], refused.map(({ file, code }) => [nameOf(file), code])))
  }
  fs.writeFileSync(PAGE, lines.join('\n') + '\n')
  console.log(`wrote ${path.relative(process.cwd(), PAGE)}`)
}

runMain(matrix)

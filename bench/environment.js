'use strict'

// What the peers need before anything is measured: packages, the Python environment, a load
// generator, and the variables that tell the peers' processes where they are.

const { execFileSync } = require('node:child_process')
const { existsSync, mkdtempSync, rmSync } = require('node:fs')
const { cpus, tmpdir } = require('node:os')
const { join } = require('node:path')
const { findWrk } = require('./load')
const { installPackages, packageVersion } = require('./packages')
const { preparePublished } = require('./published')
const { prepareVenv } = require('./venv')

const ROOT = join(__dirname, '..')

/**
 * @param {(line: string) => void} print
 * @returns {Promise<{ variables: NodeJS.ProcessEnv, missing: Record<string, string>, machine: object }>}
 *   `missing`: the peers that can't take part, and why
 */
async function prepareEnvironment (print) {
  print('preparing bench/.cache (packages, Python environment)')
  const missing = {}
  const modules = installPackages('clients', { dependencies: { undici: '^7.0.0', ws: '^8.0.0' } })
  const venv = prepareVenv()
  const sockets = mkdtempSync(join(tmpdir(), 'python-node-bench-'))
  process.on('exit', () => rmSync(sockets, { recursive: true, force: true }))
  const variables = {
    ...process.env,
    BENCH_SOCKETS: sockets,
    VIRTUAL_ENV: venv.folder,
    BENCH_PYTHON: venv.python,
    BENCH_UNDICI: join(modules, 'undici'),
    BENCH_WS: join(modules, 'ws'),
    BENCH_LIBRARIES: venv.interpreter.libraryFolder
  }
  if (hasUnixSocketOption(venv.python)) variables.BENCH_GRANIAN_UDS = '1'
  try {
    variables.BENCH_PUBLISHED = preparePublished(venv.interpreter)
  } catch (error) {
    missing.published = error.message.split('\n')[0]
  }
  try {
    execFileSync(process.execPath, ['-e', 'require(process.argv[1])', ROOT], {
      env: variables,
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8'
    })
  } catch (error) {
    missing.addon = /^\w*Error.*$/m.exec(error.stderr)?.[0] ?? error.message.split('\n')[0]
  }
  const generator = await prepareGenerator(variables)
  // uvicorn and granian are started by this process too, for the HTTP workload.
  Object.assign(process.env, { BENCH_PYTHON: variables.BENCH_PYTHON })
  return { variables, missing, machine: describeMachine(venv, modules, generator, variables) }
}

function hasUnixSocketOption (python) {
  const help = execFileSync(python, ['-m', 'granian', '--help'], { encoding: 'utf8' })
  return help.includes('--uds')
}

async function prepareGenerator (variables) {
  const version = await findWrk()
  if (version) return `wrk ${version}`
  const modules = installPackages('autocannon', { dependencies: { autocannon: '^8.0.0' } })
  variables.BENCH_AUTOCANNON = join(modules, 'autocannon', 'autocannon.js')
  return `autocannon ${packageVersion(modules, 'autocannon')} (no wrk on PATH)`
}

function describeMachine (venv, modules, generator, variables) {
  const manifest = join(ROOT, 'package.json')
  return {
    date: new Date().toISOString(),
    node: process.versions.node,
    python: venv.interpreter.version,
    platform: `${process.platform}-${process.arch}`,
    cpus: cpus().length,
    cpu: cpus()[0]?.model ?? 'unknown',
    generator,
    granianOver: variables.BENCH_GRANIAN_UDS ? 'unix socket' : 'loopback TCP',
    versions: {
      addon: existsSync(manifest) ? require(manifest).version : 'none',
      undici: packageVersion(modules, 'undici'),
      ws: packageVersion(modules, 'ws'),
      ...venv.versions
    }
  }
}

module.exports = { prepareEnvironment }

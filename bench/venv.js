'use strict'

// The Python environment of the benchmark, .cache/venv: made from $PYTHON or the python3 on PATH,
// and made again when that interpreter or requirements.txt changes.

const { execFileSync } = require('node:child_process')
const { existsSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { CACHE } = require('./packages')

const FOLDER = join(CACHE, 'venv')
const STAMP = join(FOLDER, '.installed')
const REQUIREMENTS = join(__dirname, 'requirements.txt')
const REPORTED = ['uvicorn', 'granian', 'uvloop', 'httptools', 'fastapi', 'starlette', 'pydantic']

const DESCRIBE = `
import json, platform, sys, sysconfig
print(json.dumps({
    'executable': sys.executable,
    'base': sys.base_prefix,
    'version': platform.python_version(),
    'library': sysconfig.get_config_var('INSTSONAME'),
    'libraryFolder': sysconfig.get_config_var('LIBDIR'),
}))
`

const VERSIONS = `
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
`

/**
 * @returns {{ folder: string, python: string, interpreter: object, versions: Record<string, string> }}
 */
function prepareVenv () {
  const interpreter = findInterpreter()
  const python = process.platform === 'win32'
    ? join(FOLDER, 'Scripts', 'python.exe')
    : join(FOLDER, 'bin', 'python')
  const requirements = readFileSync(REQUIREMENTS, 'utf8')
  const stamp = `${interpreter.executable} ${interpreter.version}\n${requirements}`
  if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== stamp) {
    rmSync(FOLDER, { recursive: true, force: true })
    run(interpreter.executable, ['-m', 'venv', FOLDER])
    run(python, ['-m', 'pip', 'install', '--quiet', '-r', REQUIREMENTS])
    writeFileSync(STAMP, stamp)
  }
  const versions = JSON.parse(run(python, ['-c', VERSIONS, ...REPORTED]))
  return { folder: FOLDER, python, interpreter, versions }
}

function findInterpreter () {
  const names = process.env.PYTHON ? [process.env.PYTHON] : ['python3', 'python']
  const failures = []
  for (const name of names) {
    try {
      return JSON.parse(run(name, ['-I', '-c', DESCRIBE]))
    } catch (error) {
      failures.push(`${name}: ${error.message.split('\n')[0]}`)
    }
  }
  throw new Error(`no Python for the benchmark (${failures.join('; ')}); set PYTHON`)
}

function run (command, args) {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

module.exports = { prepareVenv }

'use strict'

// One Node with one Python: runs test/fixtures/matrix-child.mjs inside that Node and the same questions in the
// interpreter outside, and compares. Called by ../matrix.js and by test/python-matrix.test.mjs.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { promisify } = require('node:util')
const { ROOT } = require('../run.js')
const { cleanEnvironment } = require('../venv.js')

const FIXTURES = path.join(ROOT, 'test', 'fixtures')
const TIME_LIMIT = 120_000
const UPLOADED = 100_000

/** In the environment; no ASCII, as values may be. */
const MARK = 'märk'

const STREAMS = `#include <iostream>
extern "C" void write_to_streams() { std::cout << "cout" << std::endl; std::clog << ""; std::cerr << ""; }
`

const runFile = promisify(execFile)

const pick = (facts, names) => Object.fromEntries(names.map((name) => [name, facts[name]]))

/** The columns of the table. Each gets the answers of inside and outside, and what was to be there. */
const CHECKS = {
  'prefix, executable, version': ({ inside, outside }) => {
    const names = ['version', 'prefix', 'exec_prefix', 'base_prefix', 'executable']
    assert.deepEqual(pick(inside('facts'), names), pick(outside.facts, names))
  },
  'main thread, argv': ({ inside, packages }) => {
    const loop = packages.uvloop === undefined ? 'asyncio' : 'uvloop'
    assert.deepEqual(inside('threads'), { main: true, argv: [''], loop })
  },
  'OpenSSL, zlib, expat': ({ inside, outside }) => {
    const names = ['openssl', 'zlib', 'expat']
    assert.deepEqual(pick(inside('facts'), names), pick(outside.facts, names))
    assert.deepEqual(inside('compress'), outside.compress)
  },
  TLS: ({ inside, certificate }) => {
    if (certificate === undefined) return 'no openssl command'
    assert.deepEqual(inside('tls'), { version: 'TLSv1.3', said: 'blocking' })
    assert.deepEqual(inside('tls_async'), { version: 'TLSv1.3', said: 'asyncio' })
  },
  '.pth': ({ inside }) => {
    assert.deepEqual(inside('matrix_handwritten'), { where: '.pth' })
  },
  'pip install -e': ({ inside, modules }) => {
    if (!modules.includes('matrix_editable')) return 'not in the venv'
    assert.deepEqual(inside('matrix_editable'), { where: 'pip install -e' })
  },
  'pydantic-core, orjson, numpy': ({ inside, wanted }) => {
    assert.deepEqual(inside('packages'), Object.fromEntries(wanted.map((name) => [name, 7])))
    if (wanted.length < 3) return `only ${wanted.join(', ') || 'none'}`
  },
  environment: ({ inside }) => {
    assert.deepEqual(inside('environment'), { own: MARK, child: MARK })
    assert.deepEqual(inside('environment_async'), { child: 'given', path: null })
  },
  'C++ streams': ({ streams }) => {
    if (streams === undefined) return 'no C++ compiler'
    assert.deepEqual(streams, { stdout: 'cout\nstatus 200\n', ended: { code: 0, signal: null, stderr: '' } })
  },
  subprocess: ({ inside, outside }) => {
    assert.deepEqual(inside('child'), { prefix: outside.facts.prefix })
  },
  'multiprocessing spawn': ({ inside, outside }) => {
    assert.deepEqual(inside('spawn'), { number: 42, prefix: outside.facts.prefix, name: 'SpawnPoolWorker-' })
  },
  FastAPI: ({ inside, fastapi }) => {
    if (!fastapi) return 'not installed'
    const answers = inside('fastapi')
    assert.deepEqual(answers.map(([status]) => status), [200, 422, 200, 200, 200])
    assert.deepEqual(JSON.parse(answers[0][1]), { number: 7, name: 'a', price: 1.5, q: 'a' })
    assert.equal(answers[2][1], '0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n')
    assert.deepEqual(JSON.parse(answers[3][1]), { sum: 499500 })
    assert.deepEqual(JSON.parse(answers[4][1]), { name: 'a.txt', size: UPLOADED })
  },
  exit: ({ ended }) => {
    assert.deepEqual(ended, { code: 0, signal: null, stderr: '' })
  }
}

/** A self-signed certificate for `localhost`, or undefined where there is no `openssl`. */
async function makeCertificate (directory) {
  const certificate = path.join(directory, 'certificate.pem')
  const key = path.join(directory, 'key.pem')
  try {
    await runFile('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', certificate])
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
  return { certificate, key }
}

/** Runs a C++ library in that Python; undefined where there is no compiler. */
async function runStreams (node, python, env, directory) {
  const source = path.join(directory, 'streams.cpp')
  const library = path.join(directory, 'streams.so')
  fs.writeFileSync(source, STREAMS)
  try {
    await runFile('c++', ['-shared', '-fPIC', '-o', library, source])
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
  return runNode(node, [path.join(FIXTURES, 'matrix-streams.mjs'), JSON.stringify({ python, library })], env)
}

function sitePackages (prefix, { version: [major, minor] }) {
  if (process.platform === 'win32') return path.join(prefix, 'Lib', 'site-packages')
  return path.join(prefix, 'lib', `python${major}.${minor}`, 'site-packages')
}

/**
 * A module outside every usual folder, and the .pth file that leads to it. The file also imports, as those of
 * some packages do, extension modules while Python starts: they have to find their own libraries by then.
 */
function writePth (folder, directory) {
  const modules = path.join(directory, 'by-pth')
  fs.mkdirSync(modules, { recursive: true })
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(path.join(modules, 'matrix_handwritten.py'), "WHERE = '.pth'\n")
  fs.writeFileSync(path.join(folder, 'matrix-handwritten.pth'), `${modules}\nimport ssl, zlib\n`)
}

/** The venv's interpreter, or the plain one that sees the same packages by the environment's variables. */
function place ({ python, venv, withVenv, directory }) {
  const env = { ...cleanEnvironment(), MATRIX: MARK }
  const packages = sitePackages(venv.directory, python)
  if (withVenv) {
    writePth(packages, venv.directory)
    return { executable: venv.python, env }
  }
  env.PYTHONUSERBASE = path.join(directory, 'user')
  env.PYTHONPATH = packages
  writePth(sitePackages(env.PYTHONUSERBASE, python), directory)
  return { executable: python.executable, env }
}

async function runNode (node, args, env) {
  try {
    const { stdout, stderr } = await runFile(node, args, { env, timeout: TIME_LIMIT, killSignal: 'SIGKILL' })
    return { stdout, ended: { code: 0, signal: null, stderr } }
  } catch (error) {
    if (error.stdout === undefined) throw error
    return { stdout: error.stdout, ended: { code: error.code ?? null, signal: error.signal ?? null, stderr: error.stderr } }
  }
}

/**
 * Runs one combination.
 *
 * @param {object} options
 * @param {string} [options.node] Node's executable, this one by default
 * @param {import('./pythons').Python} options.python
 * @param {object} options.venv what `prepareVenv` made for it
 * @param {boolean} options.withVenv run in the venv, or as the plain interpreter
 * @param {string} options.directory an empty folder, for what is made here
 * @returns {Promise<Record<string, { passed: boolean, note: string }>>} by check
 */
async function runCombination ({ node = process.execPath, python, venv, withVenv, directory }) {
  const { executable, env } = place({ python, venv, withVenv, directory })
  const { packages } = venv
  const modules = ['matrix_handwritten']
  if (withVenv && packages.editable) modules.push('matrix_editable')
  const wanted = ['pydantic-core', 'orjson', 'numpy'].filter((name) => packages[name] !== undefined)
  const fastapi = packages.fastapi !== undefined && packages['python-multipart'] !== undefined
  const certificate = await makeCertificate(directory)
  const streams = await runStreams(node, executable, env, directory)

  const outside = JSON.parse((await runFile(executable, [path.join(FIXTURES, 'matrix.py')], { env, timeout: TIME_LIMIT })).stdout)
  const question = { python: executable, modules, packages: wanted, fastapi, ...certificate }
  const { stdout, ended } = await runNode(node, [path.join(FIXTURES, 'matrix-child.mjs'), JSON.stringify(question)], env)
  let answers = {}
  try {
    answers = JSON.parse(stdout.match(/^\{.*\}$/m)[0])
  } catch {
    // The end of the process says why: it is a check of its own.
  }
  const inside = (name) => {
    const answer = answers[name] ?? { error: `no answer to \`${name}\`: ${JSON.stringify(ended)}` }
    if (answer.error !== undefined) throw new Error(answer.error)
    return answer.value
  }

  const results = {}
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      const note = check({ inside, outside, ended, packages, modules, wanted, fastapi, streams, certificate }) ?? ''
      results[name] = { passed: true, note }
    } catch (error) {
      results[name] = { passed: false, note: error.message }
    }
  }
  return results
}

module.exports = { CHECKS, runCombination }

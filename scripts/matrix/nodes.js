'use strict'

// Executables of Node's release lines: npm's `node-<platform>-<arch>` packages carry them. Kept in
// node_modules/.cache. Called by ../matrix.js.

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { ROOT, run } = require('../run.js')

const LINES = [20, 22, 24, 26]
const FOLDER = path.join(ROOT, 'node_modules', '.cache', 'matrix')

function versionOf (node) {
  return execFileSync(node, ['-p', 'process.version'], { encoding: 'utf8' }).trim()
}

/**
 * The newest executable of each release line that npm has.
 *
 * @returns {Promise<{ nodes: { version: string, node: string }[], missing: { line: number, message: string }[] }>}
 */
async function findNodes () {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${platform}-${process.arch}`
  const nodes = []
  const missing = []
  for (const line of LINES) {
    const folder = path.join(FOLDER, `node-${line}`)
    const node = path.join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    try {
      if (!fs.existsSync(node)) {
        fs.mkdirSync(folder, { recursive: true })
        fs.writeFileSync(path.join(folder, 'package.json'), '{"private": true}\n')
        await run('npm', ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--loglevel=error', `${name}@${line}`], { quiet: true })
      }
      nodes.push({ version: versionOf(node), node })
    } catch (error) {
      missing.push({ line, message: error.message })
    }
  }
  return { nodes, missing }
}

module.exports = { findNodes }

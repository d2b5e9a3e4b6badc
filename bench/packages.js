'use strict'

// npm packages for the comparison, each set in its own folder of .cache, installed once.

const { execFileSync } = require('node:child_process')
const { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')

const CACHE = join(__dirname, '.cache')

/**
 * Installs what a manifest names, without running install scripts.
 * @param {string} name of the folder
 * @param {object} manifest `dependencies` and `overrides` as in package.json
 * @returns {string} the path of its node_modules
 */
function installPackages (name, manifest) {
  const folder = join(CACHE, name)
  const modules = join(folder, 'node_modules')
  const file = join(folder, 'package.json')
  const stamp = join(folder, '.installed')
  const text = JSON.stringify({ private: true, ...manifest }, null, 2)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === text) return modules
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(file, text)
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: process.platform === 'win32'
  })
  writeFileSync(stamp, text)
  return modules
}

/** @returns {string} the version of an installed package */
function packageVersion (modules, name) {
  return JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')).version
}

module.exports = { CACHE, installPackages, packageVersion }

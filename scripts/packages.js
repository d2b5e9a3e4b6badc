'use strict'

// The npm packages that development needs. Called by the scripts that use one.

const fs = require('node:fs')
const path = require('node:path')
const { ROOT, run } = require('./run.js')

/** Runs `npm install` unless node_modules is there. */
async function installPackages () {
  if (fs.existsSync(path.join(ROOT, 'node_modules'))) return
  console.log('installing npm packages')
  // Not `npm ci`: npm 11 refuses a lock file without the platform packages, and no lock file can hold
  // them before they are published.
  await run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
    missing: 'npm was not found on PATH: install Node.js with npm'
  })
}

module.exports = { installPackages }

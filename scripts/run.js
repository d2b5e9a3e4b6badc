'use strict'

// Child processes of the scripts, and how a script ends: called by every script beside this file.

const { spawn } = require('node:child_process')
const path = require('node:path')

const ROOT = path.join(__dirname, '..')

/** A failure whose message is all that its reader needs: printed without a stack. */
class ScriptError extends Error {
  constructor (message, { exitCode = 1, cause } = {}) {
    super(message, { cause })
    this.name = 'ScriptError'
    this.exitCode = exitCode
  }
}

/**
 * Runs a command in the project's folder and waits for its end. Signals sent to this process are
 * passed on, so that nobody is left behind when a script is stopped.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {object} [options]
 * @param {NodeJS.ProcessEnv} [options.env]
 * @param {boolean} [options.capture] Return stdout instead of printing it.
 * @param {boolean} [options.quiet] Print nothing unless the command fails.
 * @param {string} [options.missing] The message when the command does not exist.
 * @returns {Promise<string>} stdout where it was captured
 */
function run (command, args, { env = process.env, capture = false, quiet = false, missing } = {}) {
  return new Promise((resolve, reject) => {
    const piped = capture || quiet
    const child = spawn(command, args, {
      cwd: ROOT,
      env,
      stdio: ['ignore', piped ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
      // `npm` is a batch file there, and those start in a shell only.
      shell: process.platform === 'win32' && command === 'npm'
    })
    const forward = (signal) => child.kill(signal)
    process.on('SIGINT', forward)
    process.on('SIGTERM', forward)

    let stdout = ''
    let output = ''
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      stdout += text
      output += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text) => { output += text })

    const settle = (result, error) => {
      process.off('SIGINT', forward)
      process.off('SIGTERM', forward)
      if (error) reject(error)
      else resolve(result)
    }
    child.on('error', (cause) => {
      const message = cause.code === 'ENOENT' && missing ? missing : `cannot start \`${command}\`: ${cause.message}`
      settle(null, new ScriptError(message, { cause }))
    })
    child.on('close', (code, signal) => {
      if (code === 0) return settle(stdout)
      const said = quiet && output.trim() !== '' ? `\n${output.trimEnd()}` : ''
      const how = signal ? `was ended by ${signal}` : `failed with exit code ${code}`
      const exitCode = signal ? 128 + (signal === 'SIGINT' ? 2 : 15) : code
      settle(null, new ScriptError(`\`${[command, ...args].join(' ')}\` ${how}${said}`, { exitCode }))
    })
  })
}

/**
 * Runs a script's main function and gives the process its exit code.
 *
 * @param {() => Promise<void>} main
 */
function runMain (main) {
  main().catch((error) => {
    const isPlain = error instanceof ScriptError || error.name === 'AddressError'
    console.error(isPlain ? `error: ${error.message}` : error)
    process.exitCode = error.exitCode ?? 1
  })
}

module.exports = { ROOT, ScriptError, run, runMain }

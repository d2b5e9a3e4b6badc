'use strict'

// JavaScript values that are to appear in a scope: what JSON can say, and a clear error for anything else.

const { PythonHandlerError } = require('./errors.js')

/**
 * @param {string} name of the option, for the message
 * @param {unknown} value an object
 * @returns {string} JSON
 * @throws {PythonHandlerError} ERR_PYTHON_INVALID_ARGUMENT for cycles, functions, symbols, bigints
 */
function toJson (name, value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `\`${name}\` must be an object`)
  }
  try {
    return JSON.stringify(value, refuseUnsayable)
  } catch (cause) {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `\`${name}\` cannot be passed to Python: ${cause.message}`, { cause })
  }
}

function refuseUnsayable (key, value) {
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new TypeError(`\`${key}\` is a ${typeof value}`)
  }
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`\`${key}\` is ${value}`)
  return value
}

module.exports = { toJson }

'use strict'

// JavaScript values that are to appear in a scope: what JSON can say, and a clear error for anything else.

const { isMap, isSet } = require('node:util').types
const { PythonHandlerError } = require('./errors.js')

/**
 * @param {string} name of the option, for the message
 * @param {unknown} value an object
 * @returns {string} JSON
 * @throws {PythonHandlerError} ERR_PYTHON_INVALID_ARGUMENT for cycles, functions, symbols, bigints, Maps, Sets
 */
function toJson (name, value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `\`${name}\` must be an object`)
  }
  let json
  try {
    json = JSON.stringify(value, refuseUnsayable)
  } catch (cause) {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `\`${name}\` cannot be passed to Python: ${cause.message}`, { cause })
  }
  if (json === undefined || json[0] !== '{') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `\`${name}\` must be an object also as JSON`)
  }
  if (depthOf(json) > DEEPEST) {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `\`${name}\` is nested more than ${DEEPEST} levels deep`)
  }
  return json
}

/** Python's reader takes about a thousand levels, less the frames of whoever calls it. */
const DEEPEST = 200

/** How deep the brackets of JSON are nested. */
function depthOf (json) {
  let depth = 0
  let deepest = 0
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '{' || token === '[') deepest = Math.max(deepest, ++depth)
    else if (token === '}' || token === ']') depth--
  }
  return deepest
}

function refuseUnsayable (key, value) {
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new TypeError(`\`${key}\` is a ${typeof value}`)
  }
  // JSON would have no more of it than `{}`.
  if (isMap(value) || isSet(value)) throw new TypeError(`${key === '' ? 'it' : `\`${key}\``} is a ${isMap(value) ? 'Map' : 'Set'}`)
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`\`${key}\` is ${value}`)
  return value
}

module.exports = { toJson }

'use strict'

// JavaScript values that are to appear in a scope: what JSON can say, and a clear error for anything else.

const { types } = require('node:util')
const { PythonHandlerError } = require('./errors.js')

/**
 * @param {string} name of the option, for the message
 * @param {unknown} value an object
 * @returns {string} JSON
 * @throws {PythonHandlerError} ERR_PYTHON_INVALID_ARGUMENT for cycles, functions, symbols, bigints, NaN, and classes
 *   whose content JSON would lose, such as Map and RegExp
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

/** What JSON would have no more of than `{}`, or numbers by their index. */
const EMPTIED = {
  Map: types.isMap,
  Set: types.isSet,
  WeakMap: types.isWeakMap,
  WeakSet: types.isWeakSet,
  RegExp: types.isRegExp,
  Promise: types.isPromise,
  Error: types.isNativeError,
  ArrayBuffer: types.isAnyArrayBuffer,
  'typed array or DataView': ArrayBuffer.isView
}

/** @returns {string | undefined} the name of a class whose content JSON would lose */
function emptiedBy (value) {
  if (value === null || typeof value !== 'object') return undefined
  return Object.keys(EMPTIED).find(name => EMPTIED[name](value))
}

function refuseUnsayable (key, value) {
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new TypeError(`\`${key}\` is a ${typeof value}`)
  }
  const emptied = emptiedBy(value)
  if (emptied !== undefined) throw new TypeError(`${key === '' ? 'it' : `\`${key}\``} is a ${emptied}`)
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`\`${key}\` is ${value}`)
  return value
}

module.exports = { toJson }

'use strict'

// Calls that end when a signal aborts. One listener for each signal, however many calls share it: Node warns of a leak
// from eleven on.

const { PythonHandlerError } = require('./errors.js')

const callsOf = new WeakMap()

/** @param {AbortSignal | object} signal one of Node's, or an object with its surface */
function watch (signal, call) {
  let calls = callsOf.get(signal)
  if (calls === undefined) {
    calls = new Set()
    calls.abort = () => {
      for (const each of [...calls]) each.abort(signal.reason)
    }
    callsOf.set(signal, calls)
  }
  if (calls.size === 0) signal.addEventListener('abort', calls.abort)
  calls.add(call)
}

function unwatch (signal, call) {
  const calls = callsOf.get(signal)
  calls.delete(call)
  if (calls.size === 0) signal.removeEventListener('abort', calls.abort)
}

/** @returns {AbortSignal | undefined} */
function checkSignal (signal) {
  if (signal === undefined || signal === null) return undefined
  if (typeof signal !== 'object' || typeof signal.aborted !== 'boolean' ||
      typeof signal.addEventListener !== 'function' || typeof signal.removeEventListener !== 'function') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`signal` must be an AbortSignal')
  }
  return signal
}

module.exports = { checkSignal, unwatch, watch }

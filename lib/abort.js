'use strict'

// Calls that end when a signal aborts. One listener for each signal, however many calls share it: Node warns of a leak
// from eleven on.

const { ClientSignal } = require('./client-signal.js')
const { PythonHandlerError } = require('./errors.js')

/** On the signal: its calls. (A WeakMap instead costs the garbage collector 1.3 µs for each signal, Node 20.) */
const kCalls = Symbol('python-node calls')

/** The calls of signals that take no properties. */
const callsOfFrozen = new WeakMap()

class Calls extends Set {
  constructor (signal) {
    super()
    this.abort = () => {
      for (const each of [...this]) each.abort(signal.reason)
    }
  }

  static of (signal) {
    if (Object.isExtensible(signal)) {
      // Its own: an object may have a signal as its prototype.
      if (!Object.hasOwn(signal, kCalls)) Object.defineProperty(signal, kCalls, { value: new Calls(signal) })
      return signal[kCalls]
    }
    if (!callsOfFrozen.has(signal)) callsOfFrozen.set(signal, new Calls(signal))
    return callsOfFrozen.get(signal)
  }
}

/** @param {AbortSignal | ClientSignal | object} signal one of Node's, or an object with its surface */
function watch (signal, call) {
  if (signal instanceof ClientSignal) {
    signal.call = call
    return
  }
  const calls = Calls.of(signal)
  if (calls.size === 0) signal.addEventListener('abort', calls.abort)
  calls.add(call)
}

function unwatch (signal, call) {
  if (signal instanceof ClientSignal) {
    signal.call = null
    return
  }
  const calls = Calls.of(signal)
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

'use strict'

// The one error class of this package. Users match on `code`, never on the wording.

/**
 * An error of the bridge, of the interpreter's set-up, or raised by the Python application.
 */
class PythonHandlerError extends Error {
  /**
   * @param {string} code `ERR_PYTHON_…`
   * @param {string} message
   * @param {{ cause?: unknown }} [options] every key but `cause` becomes an own property
   */
  constructor (code, message, { cause, ...extra } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    Object.assign(this, extra)
  }

  /**
   * What the native side described.
   *
   * @param {{ code: string, message: string, pythonType?: string, pythonMessage?: string, traceback?: string }} failure
   */
  static fromNative ({ code, message, pythonType, pythonMessage, traceback }) {
    if (pythonType === undefined) return new PythonHandlerError(code, message)
    const text = code === 'ERR_PYTHON_IMPORT' ? `${message}\n${traceback}` : message
    return new PythonHandlerError(code, text, { pythonType, pythonMessage, traceback })
  }
}

// On the prototype, so that the first line of `stack`, taken in Error's constructor, has it.
Object.defineProperty(PythonHandlerError.prototype, 'name', {
  value: 'PythonHandlerError',
  writable: true,
  configurable: true
})

/** Any value as text for a message; never throws. */
function shown (value) {
  try {
    return JSON.stringify(String(value).slice(0, 80))
  } catch {
    return Array.isArray(value) ? 'an array' : `an ${typeof value}`
  }
}

module.exports = { PythonHandlerError, shown }

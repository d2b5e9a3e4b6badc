'use strict'

// What one request may take. Checked before it crosses to the native side.

const { PythonHandlerError } = require('./errors.js')

class Limits {
  constructor ({ maxBodySize, maxHeaders, maxHeaderSize, maxMessageSize }) {
    this.maxBodySize = maxBodySize
    this.maxHeaders = maxHeaders
    this.maxHeaderSize = maxHeaderSize
    this.maxMessageSize = maxMessageSize
  }

  /** @param {import('./crossing.js').Crossing} crossing */
  check ({ givenCount, givenSize, body }) {
    if (givenCount > this.maxHeaders) {
      throw new PythonHandlerError('ERR_PYTHON_HEADERS_TOO_LARGE', `more than ${this.maxHeaders} headers (option \`maxHeaders\`)`)
    }
    if (givenSize > this.maxHeaderSize) {
      throw new PythonHandlerError('ERR_PYTHON_HEADERS_TOO_LARGE', `url and headers above ${this.maxHeaderSize} bytes (option \`maxHeaderSize\`)`)
    }
    if (body !== undefined && body.length > this.maxBodySize) throw this.bodyTooLarge()
  }

  bodyTooLarge () {
    return new PythonHandlerError('ERR_PYTHON_BODY_TOO_LARGE', `a request body above ${this.maxBodySize} bytes (option \`maxBodySize\`)`)
  }

  messageTooLarge () {
    return new PythonHandlerError('ERR_PYTHON_MESSAGE_TOO_LARGE', `a WebSocket message above ${this.maxMessageSize} bytes (option \`maxMessageSize\`)`)
  }
}

module.exports = { Limits }

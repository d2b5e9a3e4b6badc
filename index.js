'use strict'

// The package's entry. CommonJS whose names ES modules import as well.

const { PythonHandlerError } = require('./lib/errors.js')
const { PythonHandler } = require('./lib/handler.js')
const { Headers } = require('./lib/headers.js')
const { Request } = require('./lib/request.js')
const { Response } = require('./lib/response.js')

module.exports = {
  Headers,
  /** The published package's name for PythonHandler. */
  Python: PythonHandler,
  PythonHandler,
  PythonHandlerError,
  Request,
  Response
}

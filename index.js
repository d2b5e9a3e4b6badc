'use strict'

// The package's entry. CommonJS whose names ES modules import as well.

const { PythonHandlerError } = require('./lib/errors.js')
const { PythonHandler } = require('./lib/handler.js')
const { Headers } = require('./lib/headers.js')
const { Request } = require('./lib/request.js')
const { Response } = require('./lib/response.js')

module.exports = {
  Headers,
  /** The name of `PythonHandler` in version 2. */
  Python: PythonHandler,
  PythonHandler,
  PythonHandlerError,
  Request,
  Response
}

'use strict'

/**
 * The function that a server calls for each request. What belongs to all requests of one listener is settled
 * here once; each request then lives in its own `Exchange`.
 */

const { PythonHandlerError } = require('../errors.js')
const { PythonHandler } = require('../handler.js')
const { checkOptions, flag } = require('../options.js')
const { Connections } = require('./connections.js')
const { Exchange } = require('./exchange.js')
const { logFailure } = require('./failure.js')
const { InFlight } = require('./in-flight.js')

/**
 * Makes the listener that serves `handler`'s application.
 *
 * @param {import('../../index.js').PythonHandler} handler
 * @param {import('../../http.js').RequestListenerOptions} [options]
 * @returns {import('../../http.js').RequestListener}
 */
function createRequestListener (handler, options = {}) {
  if (typeof handler?.handleStream !== 'function') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`handler` must be a PythonHandler')
  }
  checkOptions(options)
  const { onError = logFailure } = options
  if (typeof onError !== 'function') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`onError` must be a function')
  }
  const service = {
    handler,
    calls: handler instanceof PythonHandler ? PythonHandler.serviceOf(handler) : null,
    inFlight: InFlight.of(handler),
    onError,
    pathSend: flag(options, 'pathSend', true),
    exposeErrors: flag(options, 'exposeErrors', true) && process.env.NODE_ENV !== 'production'
  }
  Connections.watch()

  return function requestListener (req, res, next) {
    new Exchange(service, req, res, next).run()
  }
}

module.exports = { createRequestListener }

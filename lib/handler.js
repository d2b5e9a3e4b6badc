'use strict'

// A Python application in this process. Finds and starts the interpreter, imports the application, and makes a
// Call of each request.

const os = require('node:os')
const { Call } = require('./call.js')
const { deadlinesOf } = require('./deadlines.js')
const { Environment, readOne } = require('./environment.js')
const { PythonHandlerError } = require('./errors.js')
const { findInterpreter, findInterpreterAsync } = require('./interpreter.js')
const { loadNative } = require('./native.js')
const { readOptions } = require('./options.js')
const { Request, crossPlain } = require('./request.js')
const { Response } = require('./response.js')

/** Given as options by `load`, which has imported already. */
class Loaded {
  constructor (options, native, handle) {
    this.options = options
    this.native = native
    this.handle = handle
  }
}

class PythonHandler {
  #docroot
  #handle
  #shared

  constructor (options) {
    let loaded = options
    if (!(loaded instanceof Loaded)) {
      loaded = open(readOptions(options), findInterpreter)
      const failure = loaded.handle.loadSync()
      if (failure) throw PythonHandlerError.fromNative(failure)
    }
    const { native, handle, options: { docroot, responseTimeout } } = loaded
    this.#docroot = docroot
    this.#handle = handle
    this.#shared = {
      environment: Environment.of(native),
      deadlines: responseTimeout === 0 ? undefined : deadlinesOf(responseTimeout),
      responseTimeout
    }
  }

  static async load (options) {
    const checked = readOptions(options)
    const interpreter = await findInterpreterAsync({ python: checked.python, docroot: checked.docroot })
    const loaded = open(checked, () => interpreter)
    await Environment.of(loaded.native).load(loaded.handle)
    return new this(loaded)
  }

  get docroot () {
    return this.#docroot
  }

  handleRequest (request, options) {
    return this.#call(request, options, false)
  }

  handleStream (request, options) {
    return this.#call(request, options, true)
  }

  #call (request, options, streamed) {
    return new Promise((resolve, reject) => {
      checkRequest(request)
      const call = new Call(this.#shared, signalOf(options), resolve, reject)
      call.submit(this.#handle, request, streamed)
    })
  }

  handleRequestSync (request) {
    checkRequest(request)
    const isRequest = request instanceof Request
    const { head, count, body, more, extra } = isRequest ? Request.cross(request, false) : crossPlain(request)
    if (more) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT',
        'handleRequestSync takes a complete body: a stream could not be read while it waits')
    }
    const answer = this.#handle.submitSync(head, count, body, extra, this.#shared.responseTimeout)
    if (answer.code !== undefined) throw PythonHandlerError.fromNative(answer)
    const { status, headers, body: received } = readOne(answer)
    return Response.received(status, headers, received, null)
  }
}

/** Starts the interpreter, if none runs, and prepares the application in it. */
function open (options, find) {
  const interpreter = find({ python: options.python, docroot: options.docroot })
  const native = loadNative(interpreter, { deepbind: options.deepbind })
  // One process has one Python: where nothing asks for another, the one that runs is taken.
  const { executable, library } = (interpreter.source === 'PATH' && native.startedInterpreter()) || interpreter
  Environment.of(native)
  let handle
  try {
    handle = native.PythonHandler.create({
      executable,
      library,
      eventLoop: options.loop,
      dlopenFlags: dlopenFlags(options.deepbind),
      docroot: options.docroot,
      file: options.target.file,
      function: options.target.function,
      rootPath: options.rootPath,
      disconnectGrace: options.disconnectGrace,
      shutdownTimeout: options.shutdownTimeout
    })
  } catch (failure) {
    throw failure instanceof Error ? failure : PythonHandlerError.fromNative(failure)
  }
  return new Loaded(options, native, handle)
}

/** Lets Python's extension modules find their own OpenSSL and zlib before Node's; glibc only. */
function dlopenFlags (deepbind) {
  const { RTLD_NOW, RTLD_DEEPBIND } = os.constants.dlopen
  return deepbind && RTLD_DEEPBIND !== undefined ? RTLD_NOW | RTLD_DEEPBIND : undefined
}

function checkRequest (request) {
  if (request !== null && typeof request === 'object') return
  throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT',
    `expected a Request or an object of its fields, not ${request === null ? 'null' : typeof request}`)
}

/** @returns {AbortSignal | undefined} */
function signalOf (options) {
  if (options === undefined || options === null) return undefined
  if (typeof options !== 'object') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `expected options or an AbortSignal, not ${typeof options}`)
  }
  const signal = typeof options.addEventListener === 'function' ? options : options.signal
  if (signal === undefined || signal === null) return undefined
  if (typeof signal !== 'object' || typeof signal.addEventListener !== 'function' || typeof signal.aborted !== 'boolean') {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`signal` must be an AbortSignal')
  }
  return signal
}

module.exports = { PythonHandler }

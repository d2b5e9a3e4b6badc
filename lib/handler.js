'use strict'

// A Python application in this process. Finds and starts the interpreter, imports the application, and makes a
// Call of each request.

const os = require('node:os')
const { checkSignal } = require('./abort.js')
const { BodySource } = require('./body-source.js')
const { Call } = require('./call.js')
const { cross } = require('./crossing.js')
const { Trace } = require('./diagnostics.js')
const { Environment } = require('./environment.js')
const { PythonHandlerError } = require('./errors.js')
const { fetch } = require('./fetch.js')
const { findInterpreter, findInterpreterAsync } = require('./interpreter.js')
const { loadNative } = require('./native.js')
const { checkOptions, readOptions } = require('./options.js')
const { Request, isStream } = require('./request.js')
const { Response } = require('./response.js')
const { Service } = require('./service.js')
const { PythonWebSocket } = require('./web-socket.js')

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
  #service
  #closing = null

  constructor (options) {
    let loaded = options
    if (!(loaded instanceof Loaded)) {
      loaded = open(readOptions(options), findInterpreter)
      const failure = loaded.handle.loadSync()
      if (failure) throw PythonHandlerError.fromNative(failure)
    }
    this.#docroot = loaded.options.docroot
    this.#service = new Service(loaded)
    // Frameworks take `fetch` as a function and call it by itself.
    Object.defineProperty(this, 'fetch', { value: this.fetch.bind(this), writable: true, configurable: true })
  }

  static async load (options) {
    const checked = readOptions(options)
    const interpreter = await findInterpreterAsync({ python: checked.python, docroot: checked.docroot })
    const loaded = open(checked, () => interpreter)
    await Environment.of(loaded.native).settle(id => loaded.handle.load(id))
    return new this(loaded)
  }

  /** What the http adapter shares with the handler's own calls. */
  static serviceOf (handler) {
    if (!(handler instanceof PythonHandler)) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`handler` must be a PythonHandler')
    }
    return handler.#service
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
      try {
        this.#checkOpen()
        checkRequest(request)
        if (!streamed && isWebSocket(request)) {
          throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', 'a WebSocket has no buffered response: use handleStream or connect')
        }
        const signal = signalOf(options)
        const call = new Call(this.#service, signal, resolve, reject, options === signal ? undefined : callbacksOf(options))
        call.submit(request, streamed)
        if (signal?.aborted) giveBack(request, signal.reason)
      } catch (error) {
        // What another request reads stays its own.
        if (error?.code !== 'ERR_PYTHON_BODY') giveBack(request, error)
        throw error
      }
    })
  }

  stats () {
    return this.#service.stats()
  }

  handleRequestSync (request) {
    this.#checkOpen()
    checkRequest(request)
    if (isWebSocket(request)) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', 'a WebSocket cannot be waited for: use handleStream or connect')
    }
    const id = this.#service.environment.nextId()
    const trace = Trace.begin(id, request)
    try {
      const answer = this.#wait(id, request)
      trace?.head(answer.status)
      trace?.end()
      return Response.received(answer.status, answer.headers, answer.body, null)
    } catch (error) {
      trace?.end(error)
      throw error
    }
  }

  #wait (id, request) {
    const crossing = cross(request, false)
    this.#service.limits.check(crossing)
    const { head, count, body, more, extra } = crossing
    if (more) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT',
        'handleRequestSync takes a complete body: a stream could not be read while it waits')
    }
    const { handle, responseTimeout } = this.#service
    const answer = handle.submitSync(id, head, count, body, extra, responseTimeout)
    if (answer.code !== undefined) throw PythonHandlerError.fromNative(answer)
    return answer
  }

  connect (target, options) {
    this.#checkOpen()
    return new PythonWebSocket(this.#service, target, options)
  }

  fetch (input, init) {
    return fetch(this, input, init)
  }

  async ready () {
    const { environment, handle } = this.#service
    await environment.settle(id => handle.ready(id))
  }

  close (options) {
    try {
      this.#closing ??= this.#close(closeTimeout(options))
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#closing
  }

  async #close (timeout) {
    const service = this.#service
    const deadline = performance.now() + timeout
    for (const call of service.calls()) call.goAway()
    // The last tenth is the application's own shutdown's.
    await within(timeout * 9 / 10, service.idle())
    for (const call of service.calls()) call.abort(closed())
    const { environment, handle } = service
    const left = Math.max(SHUTDOWN_LEAST, deadline - performance.now())
    // Cancelled a little later, so that it is this that tells.
    if (!await environment.settle(id => handle.close(id, left + SHUTDOWN_LEAST), left)) {
      throw new PythonHandlerError('ERR_PYTHON_SHUTDOWN', `the application's shutdown did not end within ${timeout} ms`)
    }
  }

  [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')] () {
    return this.close()
  }

  #checkOpen () {
    if (this.#closing !== null) throw closed()
  }
}

function closed () {
  return new PythonHandlerError('ERR_PYTHON_CLOSED', 'the handler is closed')
}

/** Milliseconds that an application's shutdown always has: the way to Python and back takes some. */
const SHUTDOWN_LEAST = 100

/** How long `close` waits unless told otherwise. */
const CLOSE_TIMEOUT = 10_000

function closeTimeout (options) {
  if (options !== undefined && options !== null) checkOptions(options)
  const timeout = options?.timeout ?? CLOSE_TIMEOUT
  if (typeof timeout !== 'number' || !(timeout >= 0)) {
    throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', '`timeout` must be milliseconds')
  }
  return Math.min(timeout, 2 ** 31 - 1)
}

/** @returns {Promise<boolean>} whether the promise was kept in time */
async function within (timeout, promise) {
  let timer
  const late = new Promise(resolve => { timer = setTimeout(resolve, timeout, false) })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

const CALLBACKS = ['onEarlyHints', 'onPush', 'onDebug', 'onUploadProgress', 'onDownloadProgress']

/** A stream that is the body of a request which nobody takes. */
function giveBack (request, reason) {
  const body = request?.body
  if (isStream(body)) new BodySource(body).release(reason)
}

/** The options of a call, checked; undefined for none. */
function callbacksOf (options) {
  if (options === undefined || options === null) return undefined
  let found = options.trailers !== undefined || options.pathSend !== undefined || options.bodyOnDemand !== undefined
  for (const name of CALLBACKS) {
    const callback = options[name]
    if (callback === undefined || callback === null) continue
    if (typeof callback !== 'function') {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_ARGUMENT', `\`${name}\` must be a function`)
    }
    found = true
  }
  return found ? options : undefined
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
      shutdownTimeout: options.shutdownTimeout,
      highWaterMark: options.highWaterMark,
      maxResponseSize: options.maxResponseSize,
      lifespan: options.lifespan,
      state: options.state,
      extensions: options.extensions,
      interface: options.interface,
      factory: options.factory
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

function isWebSocket (request) {
  return request instanceof Request ? Request.isWebSocket(request) : request.websocket === true
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
  return checkSignal(typeof options.addEventListener === 'function' ? options : options.signal)
}

module.exports = { PythonHandler }

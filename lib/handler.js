'use strict'

// A Python application in this process. Finds and starts the interpreter, imports the application, and makes a
// Call of each request.

const os = require('node:os')
const { BodySource } = require('./body-source.js')
const { Call } = require('./call.js')
const { cross } = require('./crossing.js')
const { Trace } = require('./diagnostics.js')
const { Environment } = require('./environment.js')
const { PythonHandlerError } = require('./errors.js')
const { fetch } = require('./fetch.js')
const { callbacksOf, signalOf } = require('./handle-options.js')
const { findInterpreter, findInterpreterAsync } = require('./interpreter.js')
const { loadNative, startedInterpreter } = require('./native.js')
const { checkOptions, readOptions } = require('./options.js')
const { Request, isStream } = require('./request.js')
const { Response } = require('./response.js')
const { Service } = require('./service.js')
const { clearTimeout, now, setTimeout } = require('./timers.js')
const { PythonWebSocket } = require('./web-socket.js')

/** Given as options by `load`, which has imported already. */
class Loaded {
  constructor (options, native, handle) {
    this.options = options
    this.native = native
    this.handle = handle
  }
}

/**
 * A Python application in this process.
 *
 * The first handler starts the interpreter; all later ones, in worker threads too, share it. An idle handler
 * does not keep the process alive, a request in flight does.
 *
 * @example
 * ```js
 * import { PythonHandler } from '@platformatic/python-node'
 *
 * const handler = await PythonHandler.load({ appTarget: 'main:app' })
 * const response = await handler.handleRequest({ url: '/hello' })
 * console.log(response.status, response.body.toString()) // 200 Hello
 * ```
 */
class PythonHandler {
  #docroot
  #service
  #closing = null

  /**
   * Finds and starts the interpreter, if none runs, and imports the application; blocks meanwhile.
   *
   * @throws {PythonHandlerError} for the options: `ERR_PYTHON_INVALID_ARGUMENT`, `ERR_PYTHON_DOCROOT`,
   *   `ERR_PYTHON_TARGET`; for the application: `ERR_PYTHON_IMPORT`, `ERR_PYTHON_TARGET`,
   *   `ERR_PYTHON_WSGI`; for the interpreter: `ERR_PYTHON_INTERPRETER_NOT_FOUND`, `ERR_PYTHON_INTERPRETER_FAILED`,
   *   `ERR_PYTHON_VERSION_UNSUPPORTED`, `ERR_PYTHON_FREE_THREADED`, `ERR_PYTHON_LIBRARY_NOT_FOUND`,
   *   `ERR_PYTHON_LIBRARY_LOAD`, `ERR_PYTHON_INTERPRETER_CONFLICT`, `ERR_PYTHON_EVENT_LOOP`,
   *   `ERR_PYTHON_START`; for the addon: `ERR_PYTHON_ADDON_NOT_FOUND`, `ERR_PYTHON_ADDON_LOAD`;
   *   `ERR_PYTHON_CLOSED` while the process ends
   *
   * @example
   * ```js
   * const handler = new PythonHandler({ appTarget: { file: 'main', function: 'app' }, responseTimeout: 5000 })
   * console.log(handler.handleRequestSync({ url: '/hello' }).status) // 200
   * ```
   */
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

  /**
   * What the constructor does, without blocking the JS thread; rejects with what the constructor throws.
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * console.log(handler.docroot === process.cwd()) // true
   * ```
   */
  static async load (options) {
    const checked = readOptions(options)
    const interpreter = await findInterpreterAsync(whereToFind(checked))
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

  /** The folder of the application, as an absolute path. */
  get docroot () {
    return this.#docroot
  }

  /**
   * Resolves with the whole response.
   *
   * A plain object is a complete request. A `Request` without a body that was written to before the call
   * stays open until its `end()`.
   *
   * @param request A `Request`, or its fields.
   * @param options An `AbortSignal`, or an object that holds one. Its abort rejects the promise with
   *   `signal.reason` at once; the application receives `http.disconnect`, and is cancelled after
   *   `disconnectGrace`.
   * @throws {PythonHandlerError} as a rejection. The application's: `ERR_PYTHON_STARTUP`, `ERR_PYTHON_EXCEPTION`,
   *   `ERR_PYTHON_NO_RESPONSE`, `ERR_PYTHON_INCOMPLETE_RESPONSE`, `ERR_PYTHON_RESPONSE_TIMEOUT`,
   *   `ERR_PYTHON_CANCELLED`, `ERR_PYTHON_NOT_AWAITABLE`; the caller's: `ERR_PYTHON_INVALID_ARGUMENT`,
   *   `ERR_PYTHON_INVALID_METHOD`, `ERR_PYTHON_INVALID_URL`, `ERR_PYTHON_INVALID_HEADER`,
   *   `ERR_PYTHON_BODY_TOO_LARGE`, `ERR_PYTHON_HEADERS_TOO_LARGE`; `ERR_PYTHON_OVERLOADED`,
   *   `ERR_PYTHON_CLOSED`, `ERR_PYTHON_INTERNAL`. A body stream that fails rejects with its own error.
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const response = await handler.handleRequest({
   *   method: 'POST',
   *   url: '/echo',
   *   headers: { 'content-type': 'text/plain' },
   *   body: 'tea'
   * }, { signal: AbortSignal.timeout(5000) })
   * console.log(response.body.toString()) // tea
   * ```
   */
  handleRequest (request, options) {
    return this.#call(request, options, false)
  }

  /**
   * Resolves at the head of the response; its body is read with `for await`, `next()` or `stream()`.
   *
   * What goes wrong before the head rejects the promise, what goes wrong after it ends the body with the
   * error. A reader that stops early is a disconnect to the application (ASGI, "Disconnect - `receive`
   * event"). At `highWaterMark` bytes that nobody has read, the application's `await send()` waits.
   *
   * A `Request` without a body stays open until its `end()`, unless its method is GET, HEAD, OPTIONS, TRACE,
   * DELETE or CONNECT or its `content-length` is 0: the application may answer while the body is written.
   *
   * @param request A `Request`, or its fields.
   * @param options As those of `handleRequest`; the signal counts until the end of the body.
   * @throws {PythonHandlerError} as `handleRequest`; the body also with `ERR_PYTHON_IDLE_TIMEOUT`
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const response = await handler.handleStream({ url: '/lines' })
   * let text = ''
   * for await (const chunk of response) text += chunk
   * console.log(text) // one two three
   * ```
   *
   * @example Both bodies at the same time.
   * ```js
   * const handler = await PythonHandler.load()
   * const request = new Request({ method: 'POST', url: '/upper' })
   * const response = await handler.handleStream(request)
   * await request.write('green')
   * console.log(String(await response.next())) // GREEN
   * await request.write('tea')
   * await request.end()
   * console.log(String(await response.next())) // TEA
   * ```
   */
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

  /**
   * What the handler does now and has done so far.
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * await handler.handleRequest({ url: '/hello' })
   * const { inFlight, completed, bytesReceived } = handler.stats()
   * console.log(inFlight, completed, bytesReceived) // 0 1 5
   * ```
   */
  stats () {
    return this.#service.stats()
  }

  /**
   * Returns the whole response; blocks the JS thread until it is there.
   *
   * The body has to be bytes, a string or none.
   *
   * @throws {PythonHandlerError} as `handleRequest` rejects; `ERR_PYTHON_INVALID_ARGUMENT` for a stream
   *
   * @example
   * ```js
   * const handler = new PythonHandler()
   * console.log(handler.handleRequestSync({ url: '/hello' }).body.toString()) // Hello
   * ```
   */
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

  /**
   * Opens a WebSocket to the application; a refusal is its `error` event, `ERR_PYTHON_WEBSOCKET_REFUSED`.
   *
   * @param target A url, a `Request`, or the fields of one, with or without `websocket: true`.
   * @param options Or `protocols` alone, as the standard's class takes them.
   * @throws {PythonHandlerError} `ERR_PYTHON_CLOSED`, `ERR_PYTHON_INVALID_ARGUMENT`, `ERR_PYTHON_INVALID_URL`,
   *   `ERR_PYTHON_INVALID_HEADER`, `ERR_PYTHON_HEADERS_TOO_LARGE`, `ERR_PYTHON_OVERLOADED`
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const socket = handler.connect('/socket')
   * socket.addEventListener('open', () => socket.send('green tea'))
   * for await (const message of socket) {
   *   console.log(message) // GREEN TEA
   *   socket.close()
   * }
   * ```
   */
  connect (target, options) {
    this.#checkOpen()
    return new PythonWebSocket(this.#service, target, options)
  }

  /**
   * The application as `fetch` would see a server: no redirects followed, no cookies kept, `signal` honoured. A
   * path is asked of `http://localhost`.
   *
   * A `TypeError`, as `fetch` rejects with, has as its `cause` what is wrong: `ERR_PYTHON_INVALID_URL` for a url that is not
   * http, `ERR_PYTHON_REDIRECT` for a redirect where the request says `redirect: 'error'`.
   *
   * @throws {PythonHandlerError} as a rejection: as `handleStream`; `ERR_PYTHON_INVALID_STATUS` for a status above
   *   599, which a fetch `Response` cannot have
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * const response = await handler.fetch('/echo', { method: 'POST', body: 'tea' })
   * console.log(response.status, await response.text()) // 200 tea
   * ```
   */
  fetch (input, init) {
    return fetch(this, input, init)
  }

  /**
   * Resolves when the application's startup has ended (ASGI, "Lifespan Protocol"), at once where it has none.
   * Requests wait for it by themselves.
   *
   * @throws {PythonHandlerError} as a rejection: `ERR_PYTHON_STARTUP`, `ERR_PYTHON_CLOSED`
   */
  async ready () {
    const { environment, handle } = this.#service
    await environment.settle(id => handle.ready(id))
  }

  /**
   * Takes no more requests (`ERR_PYTHON_CLOSED`), closes WebSockets with code 1001, lets requests in flight finish,
   * and what the application still does after its responses (background tasks), and ends the application's lifespan. What is
   * still in flight after nine tenths of `timeout` fails with `ERR_PYTHON_CLOSED`; the application's shutdown has what is left
   * of it, at least 100 ms, and is cancelled then.
   * Python itself runs on. A second call gives the first one's promise.
   *
   * @throws {PythonHandlerError} as a rejection: `ERR_PYTHON_SHUTDOWN` where the application's shutdown failed or did
   *   not end in time; `ERR_PYTHON_INVALID_ARGUMENT`
   *
   * @example
   * ```js
   * const handler = await PythonHandler.load()
   * await handler.ready()
   * await handler.close({ timeout: 1000 })
   * const error = await handler.handleRequest({ url: '/hello' }).catch(error => error)
   * console.log(error.code) // ERR_PYTHON_CLOSED
   * ```
   */
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
    const deadline = now() + timeout
    service.isClosing = true
    for (const call of service.calls()) call.goAway()
    // The last tenth is the application's own shutdown's.
    const shutdown = timeout / 10
    await within(timeout - shutdown, service.idle())
    for (const call of service.calls()) call.abort(closed())
    const { environment, handle } = service
    const left = Math.max(SHUTDOWN_LEAST, deadline - now())
    // What goes on after its response.
    const requests = Math.max(0, left - Math.max(SHUTDOWN_LEAST, shutdown))
    // Cancelled a little later, so that it is this that tells.
    if (!await environment.settle(id => handle.close(id, requests, left + SHUTDOWN_LEAST), left)) {
      throw new PythonHandlerError('ERR_PYTHON_SHUTDOWN', `the application's shutdown did not end within ${timeout} ms`)
    }
  }

  /** `close()`, for `await using`. */
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

/**
 * What `close` takes.
 *
 * @typedef CloseOptions
 * @property timeout Milliseconds that requests in flight and the shutdown may take together; the requests have nine tenths
 *   of them. Default: 10000.
 */

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

/** A stream that is the body of a request which nobody takes. */
function giveBack (request, reason) {
  const body = request?.body
  if (isStream(body)) new BodySource(body).release(reason)
}

function whereToFind ({ python, docroot }) {
  return { python, docroot, running: startedInterpreter }
}

/** Starts the interpreter, if none runs, and prepares the application in it. */
function open (options, find) {
  const interpreter = find(whereToFind(options))
  const native = loadNative(interpreter, { deepbind: options.deepbind })
  // One process has one Python: where no other was asked for, the one that runs is taken, by the name it runs under.
  const { executable, library } = native.startedInterpreter() ?? interpreter
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

module.exports = { PythonHandler }

'use strict'

// Checks what a handler is made with. Every error names the option.

const fs = require('node:fs')
const path = require('node:path')
const { PythonHandlerError } = require('./errors.js')
const { toJson } = require('./json.js')

const LOOPS = ['auto', 'asyncio', 'uvloop']
const LIFESPANS = ['auto', 'on', 'off']
const INTERFACES = ['auto', 'asgi3', 'asgi2', 'wsgi']

/** The longest time a timer of Node can take. */
const LONGEST = 2 ** 31 - 1

function invalid (message, code = 'ERR_PYTHON_INVALID_ARGUMENT') {
  return new PythonHandlerError(code, message)
}

function kindOf (value) {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value
}

function text (options, name, fallback) {
  const value = options[name] ?? fallback
  if (value !== undefined && typeof value !== 'string') throw invalid(`\`${name}\` must be a string, not ${kindOf(value)}`)
  if (value?.includes('\0')) throw invalid(`\`${name}\` must not hold a NUL`)
  return value
}

function flag (options, name, fallback) {
  const value = options[name] ?? fallback
  if (typeof value !== 'boolean') throw invalid(`\`${name}\` must be a boolean, not ${kindOf(value)}`)
  return value
}

/** One of some words, the first of which is the default. */
function choice (options, name, words) {
  const value = options[name] ?? words[0]
  if (!words.includes(value)) throw invalid(`\`${name}\` must be one of ${words.join(', ')}`)
  return value
}

/** Milliseconds; 0 may mean none. */
function duration (options, name, fallback) {
  const value = options[name] ?? fallback
  if (value === Infinity) return 0
  if (typeof value !== 'number' || !(value >= 0) || value > LONGEST) {
    throw invalid(`\`${name}\` must be milliseconds from 0 to ${LONGEST}, not ${typeof value === 'number' ? value : kindOf(value)}`)
  }
  return value
}

/** A count or a size; Infinity for none. */
function amount (options, name, fallback, least = 0) {
  const value = options[name] ?? fallback
  if (typeof value !== 'number' || !(value >= least) || (value !== Infinity && !Number.isInteger(value))) {
    throw invalid(`\`${name}\` must be an integer of at least ${least}, or Infinity`)
  }
  return value
}

/** @returns {string | undefined} */
function json (options, name) {
  const value = options[name] ?? undefined
  return value === undefined ? undefined : toJson(name, value)
}

function docrootOf (options) {
  const given = text(options, 'docroot', undefined) ?? process.cwd()
  const docroot = path.resolve(given)
  if (!fs.statSync(docroot, { throwIfNoEntry: false })?.isDirectory()) {
    throw invalid(`\`docroot\` is no folder: \`${docroot}\``, 'ERR_PYTHON_DOCROOT')
  }
  return docroot
}

/** Python's own importlib takes more than identifiers. */
const MODULE = /^[\p{L}_][\p{L}\p{N}_-]*(\.[\p{L}_][\p{L}\p{N}_-]*)*$/u
const NAME = /^[\p{L}_][\p{L}\p{N}_]*(\.[\p{L}_][\p{L}\p{N}_]*)*$/u

/** @returns {{ file: string, function: string }} a module and an attribute */
function targetOf (given, docroot) {
  let file
  let name
  if (typeof given === 'string') {
    const parts = given.split(':')
    if (parts.length !== 2) {
      throw invalid(`invalid \`appTarget\` ${JSON.stringify(given)}: expected 'module:attribute', such as 'main:app'`, 'ERR_PYTHON_TARGET')
    }
    [file, name] = parts
  } else if (given !== null && typeof given === 'object' && typeof given.file === 'string' && typeof given.function === 'string') {
    file = given.file
    name = given.function
  } else {
    throw invalid('`appTarget` must be \'module:attribute\' or { file, function }', 'ERR_PYTHON_TARGET')
  }
  const module = moduleOf(file, docroot)
  if (!MODULE.test(module)) throw invalid(`invalid \`appTarget\`: ${JSON.stringify(file)} is no module name`, 'ERR_PYTHON_TARGET')
  if (!NAME.test(name)) throw invalid(`invalid \`appTarget\`: ${JSON.stringify(name)} is no attribute name`, 'ERR_PYTHON_TARGET')
  return { file: module, function: name }
}

/** The module of a file: relative to the docroot, or absolute within it. A package's `__init__.py` is the package. */
function moduleOf (file, docroot) {
  if (!file.endsWith('.py')) return file
  const relative = path.relative(docroot, path.resolve(docroot, file)).replaceAll(path.sep, '/')
  return relative.slice(0, -'.py'.length).replace(/\/__init__$/, '').replaceAll('/', '.')
}

/** The mount prefix: '' or '/prefix', without a slash at its end. */
function rootPathOf (options) {
  const rootPath = text(options, 'rootPath', '').replace(/\/+$/, '')
  if (rootPath !== '' && !rootPath.startsWith('/')) throw invalid('`rootPath` must be empty or begin with a slash')
  return rootPath
}

function checkOptions (options) {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) throw invalid(`\`options\` must be an object, not ${kindOf(options)}`)
}

/**
 * The name of `PythonHandlerOptions` in version 2.
 *
 * @typedef PythonOptions
 */

/**
 * Options of `PythonHandler`.
 *
 * @typedef PythonHandlerOptions
 * @property appTarget Which object is the application. Default: `'main:app'`. Not to be found: `ERR_PYTHON_TARGET`.
 */
function readOptions (given) {
  const options = given ?? {}
  checkOptions(options)
  const docroot = docrootOf(options)
  return {
    /**
     * The folder that holds the application's module, first on `sys.path`; applications find it in
     * `scope["extensions"]["python_node"]["docroot"]`.
     *
     * Default: `process.cwd()`. No such folder: `ERR_PYTHON_DOCROOT`.
     */
    docroot,
    target: targetOf(options.appTarget ?? 'main:app', docroot),
    /**
     * The interpreter: an executable, a venv's folder, or the name of a command on PATH.
     *
     * Default: the first of `VIRTUAL_ENV`, `CONDA_PREFIX`, `.venv` in the docroot or its parent, the one that runs,
     * `python3` and `python` on PATH. One process runs one interpreter; another one: `ERR_PYTHON_INTERPRETER_CONFLICT`.
     */
    python: text(options, 'python', undefined),
    /**
     * The prefix under which the application is mounted: `scope["root_path"]` (ASGI, "HTTP Connection Scope").
     * `scope["path"]` includes it; to a url without it, it is added. `''`, or begins with a slash.
     *
     * Default: `''`.
     */
    rootPath: rootPathOf(options),
    /**
     * The event loop; `'auto'` is uvloop where it can be imported. All handlers of a process share one: to ask
     * for another, or for uvloop where it is not installed, is `ERR_PYTHON_EVENT_LOOP`.
     *
     * Default: `'auto'`.
     */
    loop: choice(options, 'loop', LOOPS),
    /**
     * Whether the application has a lifespan (ASGI, "Lifespan Protocol"); requests wait for its startup, and fail with
     * `ERR_PYTHON_STARTUP` if it fails. `'auto'`: an application that knows no lifespan (it raises at the scope, returns, or
     * sends a response) goes on without; `'on'`: that is `ERR_PYTHON_STARTUP` as well; `'off'`: it is not asked.
     *
     * Default: `'auto'`.
     */
    lifespan: choice(options, 'lifespan', LIFESPANS),
    /**
     * What the application is: ASGI 3, ASGI 2 (a callable that takes the scope and gives a callable), or WSGI,
     * which needs the Python package `a2wsgi` (`ERR_PYTHON_WSGI` without). `'auto'` tells the two ASGI apart.
     *
     * Default: `'auto'`.
     */
    interface: choice(options, 'interface', INTERFACES),
    /**
     * Whether `appTarget` is called, without arguments, to give the application. One that raises is `ERR_PYTHON_IMPORT`.
     * Default: false.
     */
    factory: flag(options, 'factory', false),
    /**
     * JSON values that `scope["state"]` of every request gets, before its own `state`. What JSON cannot say (a
     * cycle, a function, a symbol, a bigint, NaN, a Map, an Error) is `ERR_PYTHON_INVALID_ARGUMENT`. Default: none.
     */
    state: json(options, 'state'),
    /**
     * JSON values that `scope["extensions"]` of every request gets, each request a copy of its own, before the request's own
     * `extensions`. As for `state`, what JSON cannot say is `ERR_PYTHON_INVALID_ARGUMENT`. Default: none.
     */
    extensions: json(options, 'extensions'),
    /**
     * Milliseconds until the head of the response (`handleStream`) or its end (`handleRequest`,
     * `handleRequestSync`); then `ERR_PYTHON_RESPONSE_TIMEOUT`, and the application's task is cancelled. They count from the
     * request, and anew from each part of its body that is given: an upload that goes on does not time out.
     *
     * 0 to 2147483647; 0 and `Infinity`: no limit. Default: 30000.
     */
    responseTimeout: duration(options, 'responseTimeout', 30_000),
    /**
     * Milliseconds in which a stream has to give or take a part; then `ERR_PYTHON_IDLE_TIMEOUT`, and the application's
     * task is cancelled. Files that the application has sent count as well, also after its end. Does not apply to
     * WebSockets.
     *
     * 0 to 2147483647; 0 and `Infinity`: no limit. Default: 0.
     */
    idleTimeout: duration(options, 'idleTimeout', 0),
    /**
     * Milliseconds between a disconnect and the cancellation of the application's task. Those of a WebSocket count from the
     * last message that the application took, or from its `websocket.disconnect`: what was sent before the close may be read.
     *
     * 0 to 2147483647; 0: at once. Default: 1000.
     */
    // Endless is a grace of its own: the task is never cancelled.
    disconnectGrace: options.disconnectGrace === Infinity ? Infinity : duration(options, 'disconnectGrace', 1_000),
    /**
     * Milliseconds that the end of the process waits for Python: running tasks are cancelled, lifespans end (within three
     * quarters of it), threads and pools are told to, and `atexit` functions run. Holds for the process; the handler made last sets it.
     *
     * 0 to 2147483647. Default: 2000.
     */
    shutdownTimeout: options.shutdownTimeout === Infinity ? LONGEST : duration(options, 'shutdownTimeout', 2_000),
    /**
     * Milliseconds that the Python thread may answer nobody, with requests in flight, until the process emits a
     * warning with code `PYTHON_STUCK` and Python's stack. 0 to 2147483647; 0 and `Infinity`: never. Default: 5000.
     */
    stuckThreshold: duration(options, 'stuckThreshold', 5_000),
    /**
     * Requests that the application works on at a time, 1 or more, or `Infinity`; more wait. An open WebSocket is one of them.
     * Default: 10000.
     */
    maxInFlight: amount(options, 'maxInFlight', 10_000, 1),
    /** Requests that may wait, or `Infinity`; to one more, `ERR_PYTHON_OVERLOADED`. Default: 10000. */
    maxQueued: amount(options, 'maxQueued', 10_000),
    /**
     * Bytes of a body that may wait on either side of the bridge: above it `write()` and the application's
     * `await send()` wait, below half of it they go on. Default: 524288 (512 KiB).
     */
    highWaterMark: Math.min(amount(options, 'highWaterMark', 512 * 1024, 1), 2 ** 31),
    /**
     * Bytes of a buffered response (`handleRequest`, `handleRequestSync`), or `Infinity`; of a longer one,
     * `ERR_PYTHON_RESPONSE_TOO_LARGE`. Streams have no limit. Default: 1 GiB.
     */
    maxResponseSize: amount(options, 'maxResponseSize', 2 ** 30),
    /** Bytes of a request's body, or `Infinity`; of a longer one, `ERR_PYTHON_BODY_TOO_LARGE`. Default: 1 GiB. */
    maxBodySize: amount(options, 'maxBodySize', 2 ** 30),
    /** Header fields given with a request, or `Infinity`; of more, `ERR_PYTHON_HEADERS_TOO_LARGE`. Default: 1000. */
    maxHeaders: amount(options, 'maxHeaders', 1_000),
    /** Bytes of a request's url and of its headers' names and values, or `Infinity`; as `maxHeaders`. Default: 65536. */
    maxHeaderSize: amount(options, 'maxHeaderSize', 64 * 1024),
    /**
     * Bytes of a message sent on a WebSocket, or `Infinity`; a longer one closes it with code 1009 and
     * `ERR_PYTHON_MESSAGE_TOO_LARGE`. Default: 16 MiB.
     */
    maxMessageSize: amount(options, 'maxMessageSize', 16 * 2 ** 20),
    /**
     * Whether Python's libraries prefer their own OpenSSL and zlib to those that Node exports (RTLD_DEEPBIND);
     * glibc only. Holds for the process; the first handler sets it. `false` is for interposed allocators.
     *
     * Default: true.
     */
    deepbind: flag(options, 'deepbind', true)
  }
}

module.exports = { LONGEST, amount, checkOptions, duration, flag, invalid, readOptions, text }

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
 * @param {object} [options] those of PythonHandler
 */
function readOptions (options = {}) {
  checkOptions(options)
  const docroot = docrootOf(options)
  return {
    docroot,
    target: targetOf(options.appTarget ?? 'main:app', docroot),
    python: text(options, 'python', undefined),
    rootPath: rootPathOf(options),
    loop: choice(options, 'loop', LOOPS),
    lifespan: choice(options, 'lifespan', LIFESPANS),
    interface: choice(options, 'interface', INTERFACES),
    factory: flag(options, 'factory', false),
    state: json(options, 'state'),
    extensions: json(options, 'extensions'),
    responseTimeout: duration(options, 'responseTimeout', 30_000),
    idleTimeout: duration(options, 'idleTimeout', 0),
    // Endless is a grace of its own: the task is never cancelled.
    disconnectGrace: options.disconnectGrace === Infinity ? Infinity : duration(options, 'disconnectGrace', 1_000),
    shutdownTimeout: options.shutdownTimeout === Infinity ? LONGEST : duration(options, 'shutdownTimeout', 2_000),
    stuckThreshold: duration(options, 'stuckThreshold', 5_000),
    maxInFlight: amount(options, 'maxInFlight', 10_000, 1),
    maxQueued: amount(options, 'maxQueued', 10_000),
    highWaterMark: Math.min(amount(options, 'highWaterMark', 512 * 1024, 1), 2 ** 31),
    maxResponseSize: amount(options, 'maxResponseSize', 2 ** 30),
    maxBodySize: amount(options, 'maxBodySize', 2 ** 30),
    maxHeaders: amount(options, 'maxHeaders', 1_000),
    maxHeaderSize: amount(options, 'maxHeaderSize', 64 * 1024),
    maxMessageSize: amount(options, 'maxMessageSize', 16 * 2 ** 20),
    deepbind: flag(options, 'deepbind', true)
  }
}

module.exports = { LONGEST, amount, checkOptions, duration, flag, invalid, readOptions, text }

'use strict'

// What an application sends besides its response: early hints, pushes, trailers, files, debug information. Announced to
// it only where the caller can honour it.

const { Headers } = require('./headers.js')

/** The numbers of src/exchange/event.rs. */
const EARLY_HINT = 1
const PUSH = 2
const TRAILERS = 3
const PATH_SEND = 4
const ZERO_COPY_SEND = 5
const DEBUG = 6

/** The first bit, which is no kind's: the body is read when the application asks for it. */
const BODY_ON_DEMAND = 1

/** A buffered response can carry trailers; a stream can carry files as well. */
const OF_BUFFERED = 1 << TRAILERS
const OF_STREAM = OF_BUFFERED | 1 << PATH_SEND | 1 << ZERO_COPY_SEND

/**
 * @param {{ onEarlyHints?: Function, onPush?: Function, onDebug?: Function, trailers?: boolean, pathSend?: boolean,
 *   bodyOnDemand?: boolean }} options
 * @param {boolean} streamed
 * @returns {number} bits, one for each kind
 */
function capabilitiesOf ({ onEarlyHints, onPush, onDebug, trailers = true, pathSend = true, bodyOnDemand = false }, streamed) {
  let bits = streamed ? OF_STREAM : OF_BUFFERED
  if (!trailers) bits &= ~(1 << TRAILERS)
  if (!pathSend) bits &= ~(1 << PATH_SEND)
  if (bodyOnDemand) bits |= BODY_ON_DEMAND
  if (isGiven(onEarlyHints)) bits |= 1 << EARLY_HINT
  if (isGiven(onPush)) bits |= 1 << PUSH
  if (isGiven(onDebug)) bits |= 1 << DEBUG
  return bits
}

function isGiven (callback) {
  return callback !== undefined && callback !== null
}

/** @returns {string[]} the values of `link` lines */
function readLinks (text) {
  return Headers.fromText(text).values()
}

/** @returns {{ path: string, headers: Headers }} */
function readPush (text) {
  const end = text.indexOf('\n')
  return { path: JSON.parse(text.slice(0, end)), headers: Headers.fromText(text.slice(end + 1)) }
}

module.exports = {
  DEBUG,
  EARLY_HINT,
  OF_BUFFERED,
  OF_STREAM,
  PATH_SEND,
  PUSH,
  TRAILERS,
  ZERO_COPY_SEND,
  capabilitiesOf,
  readLinks,
  readPush
}

'use strict'

// Timers and turns as they were when the package was loaded. A test may put its own in the places of the globals
// (node:test, jest, sinon), and what Python answers has to arrive all the same.

const { clearInterval, clearTimeout, queueMicrotask, setImmediate, setInterval, setTimeout } = globalThis
const { nextTick } = process
const now = performance.now.bind(performance)

module.exports = { clearInterval, clearTimeout, nextTick, now, queueMicrotask, setImmediate, setInterval, setTimeout }

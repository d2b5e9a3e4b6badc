'use strict'

// Turns of the event loop, as far as those who wait for an event can see them.

const { nextTick } = require('./timers.js')

const settled = Promise.resolve()

/** Of this turn. */
let callbacks = []

/**
 * Calls `callback` after everything that follows from now on by promises alone, so that code that awaits one event can ask
 * for the next. All callbacks of a turn cost one tick.
 *
 * A tick alone would not do: those of a batch of events run before its microtasks.
 */
function afterTurn (callback) {
  if (callbacks.push(callback) === 1) settled.then(schedule)
}

function schedule () {
  nextTick(run, callbacks)
  callbacks = []
}

function run (due) {
  for (const callback of due) callback()
}

module.exports = { afterTurn }

'use strict'

// A reporter of Node's test runner: how long each file took, the slowest first. Called by scripts/test.js.

const path = require('node:path')
const { ROOT } = require('./run.js')

/** A file ends as a test of its own, which is named after it and holds the life of its process. */
function isFile ({ type, data }) {
  return type === 'test:complete' && data.nesting === 0 && path.isAbsolute(data.name) && data.name.endsWith('.test.mjs')
}

module.exports = async function * fileTimes (source) {
  const times = []
  for await (const event of source) {
    if (!isFile(event)) continue
    const { name, details } = event.data
    times.push({ name: path.relative(ROOT, name), seconds: details.duration_ms / 1000 })
  }
  times.sort((a, b) => b.seconds - a.seconds)
  yield '\nseconds of each file:\n'
  for (const { name, seconds } of times) yield `${seconds.toFixed(1).padStart(7)}  ${name}\n`
}

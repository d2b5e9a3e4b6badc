'use strict'

// From the start of a process to the first answer of a hello app: Node, this package, the search
// for Python, the import; for the others Node, undici, and the server they wait for.

const { performance } = require('node:perf_hooks')
const { Peer } = require('../peer')
const { ALL } = require('./participants')

async function sample (name, environment) {
  const start = performance.now()
  const peer = new Peer(name, 'hello', environment, ['--once'])
  try {
    await peer.ready()
    return { milliseconds: performance.now() - start }
  } finally {
    peer.close()
  }
}

module.exports = [
  {
    id: 'startup',
    title: 'process start to first response',
    participants: ALL,
    rounds: 10,
    parameters: () => ({}),
    enter: async (name, environment) => ({ sample: () => sample(name, environment), close () {} }),
    metrics: [
      { id: 'milliseconds', unit: 'ms', better: 'lower', bounds: [{ atMost: 150 }] }
    ]
  }
]

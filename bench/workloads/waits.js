'use strict'

// What happens, and what it costs, while requests wait or Python computes.

const { ALL, WITH_EVENT_LOOP } = require('./participants')

module.exports = [
  {
    id: 'sleep',
    title: '200 × sleep(50 ms) at once',
    app: 'wait',
    operation: 'burst',
    participants: ALL,
    parameters: () => ({ request: { path: '/sleep?seconds=0.05' }, count: 200 }),
    metrics: [
      { id: 'milliseconds', name: 'in all', unit: 'ms', better: 'lower', bounds: [{ atMost: 65 }] }
    ]
  },
  {
    id: 'waiting',
    title: 'one request waiting 3 s',
    app: 'wait',
    operation: 'waiting',
    participants: ALL,
    // CPU time is counted per process: no peer disturbs another's figure.
    together: true,
    rounds: 1,
    parameters: ({ warm }) => ({ request: { path: `/sleep?seconds=${warm ? 0.1 : 3}` } }),
    metrics: [
      { id: 'cpu', name: 'CPU', unit: 's', better: 'lower', bounds: [{ atMost: 0.03 }] }
    ]
  },
  {
    id: 'loop-delay',
    title: 'event-loop delay while Python computes, p99',
    app: 'wait',
    operation: 'loopDelay',
    participants: WITH_EVENT_LOOP,
    parameters: ({ seconds }) => ({
      request: { path: '/compute' },
      seconds: Math.min(seconds, 1),
      interval: 20
    }),
    metrics: [
      { id: 'busy', name: 'while computing', unit: 'ms', better: 'lower', bounds: [] },
      { id: 'idle', name: 'idle Node', unit: 'ms', better: 'lower', bounds: [] },
      // A difference, which may be negative: its ratio to another says nothing.
      {
        id: 'excess',
        name: 'more than idle',
        unit: 'ms',
        better: 'lower',
        comparable: false,
        bounds: [{ atMost: 1 }]
      }
    ]
  },
  {
    id: 'idle-streams',
    title: '1,000 idle streams',
    app: 'idle',
    operation: 'idleStreams',
    participants: ALL,
    // Memory that earlier streams left behind would hide what the next ones take.
    fresh: true,
    rounds: 3,
    parameters: () => ({ request: { path: '/events' }, streams: 1000, warm: 50, hold: 1 }),
    metrics: [
      { id: 'kilobytes', name: 'memory each', unit: 'KB', better: 'lower', bounds: [{ atMost: 12 }] },
      // "0 %" within what the kernel's clock tells in a second: one tick of 10 ms less a hair.
      { id: 'cpu', name: 'CPU', unit: '%', better: 'lower', bounds: [{ atMost: 0.9, shown: '0 %' }] }
    ]
  }
]

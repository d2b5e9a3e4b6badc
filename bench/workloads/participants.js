'use strict'

// Who takes part. The floor is measured last of each round.

/** Everything that serves a request to JavaScript, and the floor. */
const ALL = ['addon', 'published', 'uvicorn', 'granian', 'floor']

/** Those that have a blocking call, and the floor. */
const IN_PROCESS = ['addon', 'published', 'floor']

/** Those whose JavaScript side has an event loop to delay. */
const WITH_EVENT_LOOP = ['addon', 'published', 'uvicorn', 'granian']

/** Requests in flight of the concurrent workloads. */
const IN_FLIGHT = 64

module.exports = { ALL, IN_FLIGHT, IN_PROCESS, WITH_EVENT_LOOP }

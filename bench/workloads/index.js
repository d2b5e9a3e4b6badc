'use strict'

// All workloads in the order of the table.
//
// A workload: `id` and `title`; `participants`, the peers' names; `metrics`, what a sample returns,
// with the bounds expected of this addon; `parameters(size, name)` for one sample of one participant. It either names an
// `operation` for the peers' processes, which load `app`, or brings its own
// `enter(name, environment)`, which resolves with `{ sample(parameters), close() }`.

module.exports = [
  ...require('./hello'),
  ...require('./json'),
  ...require('./transfers'),
  ...require('./waits'),
  ...require('./sockets'),
  ...require('./startup'),
  ...require('./http')
]

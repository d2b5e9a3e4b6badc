'use strict'

// `npm run test:models`: every interleaving of the exchange and its queues (src/exchange/models.rs), by loom.

const path = require('node:path')
const { cargo } = require('./cargo.js')
const { ROOT } = require('./run.js')

cargo(['test', '--release', '--lib', '--no-default-features', 'exchange::models'], {
  env: { ...process.env, RUSTFLAGS: '--cfg loom', CARGO_TARGET_DIR: path.join(ROOT, 'target', 'loom') }
})

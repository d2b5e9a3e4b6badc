'use strict'

// `npm run test:models`: every interleaving of the exchange and its queues (src/exchange/models.rs), by loom.

const path = require('node:path')
const { cargo } = require('./cargo.js')
const { ROOT, runMain } = require('./run.js')

runMain(async () => {
  await cargo(['test', '--release', '--lib', '--no-default-features', 'exchange::models'], {
    env: { RUSTFLAGS: '--cfg loom', CARGO_TARGET_DIR: path.join(ROOT, 'target', 'loom') }
  })
})

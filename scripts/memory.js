'use strict'

// `npm run test:memory`: the Rust tests under valgrind, which has to be installed: no invalid access, nothing leaked.

const { cargo } = require('./cargo.js')
const { runMain } = require('./run.js')

const VALGRIND = ['valgrind', '--quiet', '--leak-check=full', '--errors-for-leak-kinds=definite', '--show-leak-kinds=definite', '--error-exitcode=9']

runMain(async () => {
  await cargo(['test', '--lib', '--no-default-features', '--config', `target.'cfg(unix)'.runner=${JSON.stringify(VALGRIND)}`, '--', '--test-threads=1'], {
    // Each case takes fifty times as long.
    env: { PROPTEST_CASES: '30' }
  })
})

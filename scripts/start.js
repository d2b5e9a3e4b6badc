'use strict'

// `npm start`: the demo, from a fresh clone. HOST and PORT choose the address, PYTHON the interpreter.

const { createServer } = require('node:http')
const { listen, readAddress } = require('../demo/address.js')
const { build } = require('./build.js')
const { installPackages } = require('./packages.js')
const { runMain } = require('./run.js')
const { makeVenv } = require('./venv.js')

/** Fails before the minutes of a first build, not after them, when the address cannot be had. */
async function claim (address) {
  const server = createServer()
  await listen(server, address)
  await new Promise((resolve) => server.close(resolve))
}

async function start () {
  const address = readAddress()
  await claim(address)
  await installPackages()
  await build()
  const { directory } = await makeVenv('.venv-demo', 'demo/requirements.txt')
  process.env.VIRTUAL_ENV = directory
  const { serve } = require('../demo/server.js')
  await serve(address)
}

runMain(start)

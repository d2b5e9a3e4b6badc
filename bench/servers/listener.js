'use strict'

// node:http in front of this addon: `listener.js <app>`; prints its port.

const http = require('node:http')
const { join } = require('node:path')

const ADDON = join(__dirname, '..', '..')
const APPS = join(__dirname, '..', 'apps')

async function main () {
  const { PythonHandler } = require(ADDON)
  const { createRequestListener } = require(join(ADDON, 'http'))
  const [app] = process.argv.slice(2)
  const handler = await PythonHandler.load({ docroot: APPS, appTarget: `${app}:app` })
  const server = http.createServer(createRequestListener(handler))
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})

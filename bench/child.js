'use strict'

// A peer's own process: `child.js <peer> <app>` starts the peer, then answers each line on stdin,
// `{"operation": …, "parameters": …}`, with one line on file descriptor 3. `--once` makes one
// request, reports, and ends. It leaves stdout to the application.

const { writeSync } = require('node:fs')
const { createInterface } = require('node:readline')

const REPORT = 3

function report (answer) {
  writeSync(REPORT, `${JSON.stringify(answer)}\n`)
}

async function main () {
  const [name, app, once] = process.argv.slice(2)
  const driver = await require(`./peers/${name}`).start(app)
  if (once) {
    const { status } = await driver.request({ path: '/', headers: {} })
    if (status !== 200) throw new Error(`unexpected status: ${status}`)
    report({ ready: true })
    process.exit()
  }
  const operations = require('./operations')
  report({ ready: true })
  for await (const line of createInterface({ input: process.stdin })) {
    const { operation, parameters } = JSON.parse(line)
    try {
      report({ result: await operations[operation](driver, prepared(parameters)) })
    } catch (error) {
      report({ error: String(error?.message ?? error) })
    }
  }
  process.exit()
}

/** Makes the request body a Buffer, once, as an application that has read a file would hold it. */
function prepared (parameters) {
  const { body, ...request } = parameters.request
  if (body !== undefined) request.body = Buffer.from(body)
  return { ...parameters, request: { headers: {}, ...request } }
}

main().catch((error) => {
  report({ error: String(error?.message ?? error) })
  process.exit(1)
})

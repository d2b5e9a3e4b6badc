'use strict'

// `npm run bench`: this addon, the published package, undici → uvicorn, undici → granian, and the
// application alone in Python, side by side. Prints a table; writes results/latest.json and .svg.

const { mkdirSync, writeFileSync } = require('node:fs')
const { constants } = require('node:os')
const { join } = require('node:path')
const { renderChart } = require('./chart')
const { hold } = require('./contest')
const { prepareEnvironment } = require('./environment')
const { readOptions } = require('./options')
const { closeAll } = require('./peer')
const { TITLES, buildRows } = require('./report')
const { renderTables } = require('./table')
const allWorkloads = require('./workloads')

const RESULTS = join(__dirname, 'results')

async function main () {
  const { help, workloads, settings, quick } = readOptions(process.argv.slice(2), allWorkloads)
  if (help) {
    console.log(help)
    return
  }
  const environment = await prepareEnvironment(console.log)
  const { machine, missing } = environment
  console.log(`Node ${machine.node}, Python ${machine.python}, ${machine.cpus} × ${machine.cpu}`)
  console.log(`granian over ${machine.granianOver}; HTTP load by ${machine.generator}`)
  for (const [name, reason] of Object.entries(missing)) {
    console.log(`${TITLES[name]} can't take part: ${reason}`)
  }
  const rows = []
  for (const workload of workloads) {
    const start = performance.now()
    const outcome = await hold(workload, settings, environment)
    rows.push(...buildRows(workload, outcome))
    console.log(`${workload.title} (${((performance.now() - start) / 1e3).toFixed(1)} s)`)
    for (const [name, reason] of Object.entries(outcome.errors)) {
      if (!missing[name]) console.log(`  ${TITLES[name]} failed: ${reason}`)
    }
  }
  console.log(`\n${renderTables(rows)}\n`)
  mkdirSync(RESULTS, { recursive: true })
  const json = JSON.stringify({ ...machine, quick, missing, rows }, null, 2)
  writeFileSync(join(RESULTS, 'latest.json'), `${json}\n`)
  writeFileSync(join(RESULTS, 'latest.svg'), renderChart(rows, machine))
  console.log('written: bench/results/latest.json, bench/results/latest.svg')
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    closeAll()
    process.exit(128 + constants.signals[signal])
  })
}

main().catch((error) => {
  closeAll()
  console.error(error.message)
  process.exitCode = 1
})

'use strict'

const { parseArgs } = require('node:util')

const USAGE = `npm run bench -- [--quick] [--only <workload>]… [--rounds <number>] [--list]

  --quick   short rounds, smaller bodies: at most 90 s, for a first look
  --only    one workload by its id, or by the start of it; may be repeated
  --rounds  rounds a workload (default: 5, quick: 2)
  --list    the workloads' ids`

/**
 * A whole run stays below 8 minutes with these, a quick one below 90 s. `budget`: the seconds a
 * participant may take for the rounds of a workload; after them it keeps the rounds it has.
 */
const FULL = { rounds: 5, mostRounds: 10, budget: 8, size: { seconds: 1, scale: 1 } }
const QUICK = { rounds: 2, mostRounds: 2, budget: 2, size: { seconds: 0.25, scale: 0.25 } }
const WARM = { seconds: 0.5, scale: 0.1, warm: true }
const QUICK_WARM = { seconds: 0.15, scale: 0.05, warm: true }

/**
 * @param {string[]} args
 * @param {object[]} workloads
 * @returns {{ help?: string, workloads: object[], settings: object, quick: boolean }}
 */
function readOptions (args, workloads) {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: 'boolean', short: 'h' },
      list: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' }
    }
  })
  if (values.help) return { help: USAGE }
  if (values.list) return { help: workloads.map(({ id, title }) => `${id.padEnd(18)}${title}`).join('\n') }
  const { quick } = values
  const settings = { ...(quick ? QUICK : FULL), warmSize: quick ? QUICK_WARM : WARM }
  if (values.rounds !== undefined) {
    const rounds = Number(values.rounds)
    if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds is no positive number: ${values.rounds}`)
    Object.assign(settings, { rounds, mostRounds: Math.max(rounds, settings.mostRounds) })
  }
  return { workloads: choose(workloads, values.only), settings, quick }
}

function choose (workloads, wanted = []) {
  for (const prefix of wanted) {
    if (!workloads.some(({ id }) => id.startsWith(prefix))) throw new Error(`no such workload: ${prefix}\n\n${USAGE}`)
  }
  if (wanted.length === 0) return workloads
  return workloads.filter(({ id }) => wanted.some((prefix) => id.startsWith(prefix)))
}

module.exports = { readOptions }

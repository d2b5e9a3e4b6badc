'use strict'

// From samples to rows: the median of each figure, its ratios to the others round by round, and
// whether the bounds that are expected of this addon are met.

const { median } = require('./statistics')

const TITLES = {
  addon: require('./peers/addon').title,
  published: require('./peers/published').title,
  uvicorn: require('./peers/uvicorn').title,
  granian: require('./peers/granian').title,
  floor: 'floor (Python alone)',
  node: 'node:http alone',
  'uvicorn-alone': 'uvicorn alone',
  'granian-alone': 'granian alone',
  'proxy-uvicorn': 'proxy → uvicorn',
  'proxy-granian': 'proxy → granian'
}

/**
 * @param {object} workload as described in workloads/index.js
 * @param {{ samples: Record<string, object[]>, errors: Record<string, string> }} outcome
 * @returns {object[]} one row a metric
 */
function buildRows (workload, { samples, errors }) {
  return workload.metrics.map((metric) => {
    const rounds = {}
    for (const name of workload.participants) {
      rounds[name] = samples[name].map((sample) => sample[metric.id]).filter((value) => value !== undefined)
    }
    const values = {}
    const ratios = {}
    for (const name of workload.participants) {
      if (rounds[name].length === 0) continue
      values[name] = median(rounds[name])
      const quotient = metric.comparable === false ? undefined : ratio(rounds.addon, rounds[name])
      if (name !== 'addon' && quotient !== undefined) ratios[name] = quotient
    }
    return {
      workload: workload.id,
      metric: metric.id,
      title: workload.title,
      name: metric.name ?? '',
      unit: metric.unit,
      better: metric.better,
      comparable: metric.comparable !== false,
      values,
      ratios,
      rounds,
      errors,
      bounds: metric.bounds.map((bound) => judge(bound, values.addon, ratios))
    }
  })
}

/** The median of `a / b` over the rounds that both have; undefined where there is none. */
function ratio (a, b) {
  const quotients = []
  for (let round = 0; round < Math.min(a.length, b.length); round++) {
    if (b[round] > 0) quotients.push(a[round] / b[round])
  }
  return quotients.length > 0 ? median(quotients) : undefined
}

/** @returns {{ text: string, met: boolean | null }} `met` is null where it could not be measured */
function judge (bound, value, ratios) {
  const { atLeast, atMost, against, shown } = bound
  const measured = against ? ratios[against] : value
  const limit = shown ?? (atLeast ?? atMost).toLocaleString('en')
  const sign = atLeast === undefined ? (shown ? '' : '≤ ') : '≥ '
  const text = against ? `${sign}${limit} × ${short(against)}` : `${sign}${limit}`
  if (measured === undefined) return { ...bound, text, met: null }
  return { ...bound, text, met: atLeast === undefined ? measured <= atMost : measured >= atLeast }
}

/** A title for a place where the rest of it is known. */
function short (name) {
  return { floor: 'floor', uvicorn: 'uvicorn', 'proxy-uvicorn': 'proxy' }[name] ?? TITLES[name]
}

/** @returns {string} 'met', 'not met', 'not measured', or nothing where nothing is expected */
function verdict ({ bounds }) {
  if (bounds.length === 0) return ''
  const failed = bounds.filter(({ met }) => met === false)
  if (failed.length > 0) {
    return bounds.length === 1 ? 'not met' : `not met: ${failed.map(({ against, text }) => against ? short(against) : text).join(', ')}`
  }
  return bounds.every(({ met }) => met) ? 'met' : 'not measured'
}

module.exports = { TITLES, buildRows, verdict }

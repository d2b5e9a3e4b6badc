'use strict'

// Many small requests through one driver: in parallel, one after another, or blocking.
// Each operation runs in the peer's own process and checks every answer's status.

const { performance } = require('node:perf_hooks')
const { percentile } = require('../statistics')

/**
 * Keeps `inFlight` requests going for `seconds`.
 * @returns {Promise<{ rate: number, cpu: number }>} requests/s, CPU microseconds a request
 */
async function concurrent (driver, { request, inFlight, seconds }) {
  let count = 0
  let end = Infinity

  async function keepGoing () {
    while (performance.now() < end) {
      const response = await driver.request(request)
      expectSuccess(response)
      count++
    }
  }

  const cpu = driver.usage().cpu
  const start = performance.now()
  end = start + seconds * 1e3
  await Promise.all(Array.from({ length: inFlight }, keepGoing))
  const elapsed = performance.now() - start
  return { rate: count * 1e3 / elapsed, cpu: (driver.usage().cpu - cpu) / count }
}

/**
 * One request after another for `seconds`.
 * @returns {Promise<{ p50: number, p99: number, rate: number }>} microseconds, requests/s
 */
async function sequential (driver, { request, seconds }) {
  const latencies = []
  const start = performance.now()
  const end = start + seconds * 1e3
  let now = start
  while (now < end) {
    const before = now
    expectSuccess(await driver.request(request))
    now = performance.now()
    latencies.push(now - before)
  }
  return summary(latencies, now - start)
}

/**
 * One blocking request after another for `seconds`.
 * @returns {{ p50: number, p99: number, rate: number }} microseconds, requests/s
 */
function sync (driver, { request, seconds }) {
  const latencies = []
  const start = performance.now()
  const end = start + seconds * 1e3
  let now = start
  while (now < end) {
    const before = now
    expectSuccess(driver.requestSync(request))
    now = performance.now()
    latencies.push(now - before)
  }
  return summary(latencies, now - start)
}

/**
 * `count` requests at once; the time until the last one has ended.
 * @returns {Promise<{ milliseconds: number }>}
 */
async function burst (driver, { request, count }) {
  const start = performance.now()
  const responses = await Promise.all(Array.from({ length: count }, () => driver.request(request)))
  const milliseconds = performance.now() - start
  responses.forEach(expectSuccess)
  return { milliseconds }
}

function summary (latencies, milliseconds) {
  const sorted = Float64Array.from(latencies).sort()
  return {
    p50: percentile(sorted, 0.5) * 1e3,
    p99: percentile(sorted, 0.99) * 1e3,
    rate: latencies.length * 1e3 / milliseconds
  }
}

function expectSuccess (response) {
  if (response.status !== 200) throw new Error(`unexpected status: ${response.status}`)
  if (response.body.length === 0) throw new Error('unexpected empty body')
}

module.exports = { burst, concurrent, sequential, sync }

'use strict'

// What requests cost while nothing seems to happen: CPU, memory, and Node's event loop.

const { monitorEventLoopDelay } = require('node:perf_hooks')
const { setTimeout: sleep } = require('node:timers/promises')

/** Streams opened at a time; more at once would overflow a server's accept queue. */
const OPENED_TOGETHER = 50

/**
 * CPU seconds used while one request waits.
 * @returns {Promise<{ cpu: number }>}
 */
async function waiting (driver, { request }) {
  await driver.request({ ...request, path: '/' })
  const cpu = driver.usage().cpu
  const { status } = await driver.request(request)
  if (status !== 200) throw new Error(`unexpected status: ${status}`)
  return { cpu: (driver.usage().cpu - cpu) / 1e6 }
}

/**
 * Event-loop delay, p99: first of an idle Node, then while the app computes and requests go on
 * being submitted.
 * @returns {Promise<{ idle: number, busy: number, excess: number }>} milliseconds
 */
async function loopDelay (driver, { request, seconds, interval }) {
  const idle = await delayDuring(() => sleep(seconds * 1e3), () => {}, interval)
  const submitted = []
  const busy = await delayDuring(
    () => driver.request({ ...request, path: `${request.path}?seconds=${seconds}` }),
    () => submitted.push(driver.request({ ...request, path: '/' })),
    interval
  )
  await Promise.all(submitted)
  return { idle, busy, excess: busy - idle }
}

async function delayDuring (run, submit, interval) {
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  const timer = setInterval(submit, interval)
  histogram.enable()
  await run()
  histogram.disable()
  clearInterval(timer)
  return histogram.percentile(99) / 1e6
}

/**
 * Memory of an open stream that sent one event and waits, and CPU while all of them wait.
 * Client and server are counted together. Needs `--expose-gc` and a fresh process.
 * @returns {Promise<{ kilobytes: number, cpu: number }>} a stream; per cent of one core
 */
async function idleStreams (driver, { request, streams, warm, hold }) {
  await closeStreams(await openStreams(driver, request, warm))
  await settle()
  const before = driver.usage().resident
  const open = await openStreams(driver, request, streams)
  await settle()
  const { cpu, resident } = driver.usage()
  await sleep(hold * 1e3)
  const used = driver.usage().cpu - cpu
  await closeStreams(open)
  return { kilobytes: (resident - before) / 1024 / streams, cpu: used / 1e4 / hold }
}

async function openStreams (driver, request, count) {
  const streams = []
  while (streams.length < count) {
    const together = Math.min(OPENED_TOGETHER, count - streams.length)
    const opened = Array.from({ length: together }, () => openStream(driver, request))
    streams.push(...await Promise.all(opened))
  }
  return streams
}

async function openStream (driver, request) {
  const response = await driver.open(request)
  const iterator = response.chunks[Symbol.asyncIterator]()
  const { value } = await iterator.next()
  if (!value?.length) throw new Error('unexpected empty stream')
  return iterator
}

function closeStreams (iterators) {
  return Promise.all(iterators.map((iterator) => iterator.return?.()))
}

async function settle () {
  globalThis.gc()
  await sleep(300)
  globalThis.gc()
}

module.exports = { idleStreams, loopDelay, waiting }

'use strict'

// Everything at once, for as long as one likes: requests, streams and WebSockets, directly and through the http adapter, of
// callers and an application that misbehave, while workers start and are terminated.
//
//   npm run chaos -- --seed 7 --seconds 60 --loop asyncio
//
// The seed decides who does what; what the threads make of it differs. At the end all must have settled, and memory, tasks,
// descriptors and threads must be where they were. Exits with 1 where something is wrong.

const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { once } = require('node:events')
const { setTimeout: sleep } = require('node:timers/promises')
const { parseArgs } = require('node:util')
const { Worker, isMainThread, workerData } = require('node:worker_threads')
const { attachWebSocket, createRequestListener } = require('../http.js')
const { PythonHandler } = require('../index.js')
const { CLIENT, DIRECT } = require('./chaos/actions.js')

const ACTORS = 16

/** Milliseconds that one action may take: many times what the slowest needs. */
const PATIENCE = 12_000

function makeHandler (loop) {
  return new PythonHandler({
    docroot: path.join(__dirname, 'chaos'),
    appTarget: 'chaos:app',
    lifespan: 'off',
    loop,
    responseTimeout: 5_000,
    disconnectGrace: 20,
    stuckThreshold: 0
  })
}

/** A generator of numbers from a seed (mulberry32). */
function randomOf (seed) {
  let state = seed >>> 0
  const random = below => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
  const bytes = length => Buffer.from(Array.from({ length }, () => random(256)))
  return { random, bytes, text: length => bytes(Math.ceil(length / 2)).toString('hex').slice(0, length) }
}

/** Runs one action; says what is wrong with it. */
async function perform (name, action, target, chance, wrong) {
  let timer
  const late = new Promise((_resolve, reject) => { timer = setTimeout(reject, PATIENCE, new Error('has not settled')) })
  try {
    await Promise.race([action(target, chance), late])
  } catch (error) {
    wrong.push(`${name}: ${error.traceback ?? error.stack}`)
  } finally {
    clearTimeout(timer)
  }
}

/** One caller after another action, until the time is over. */
async function act (seed, until, targets, counts, wrong) {
  const chance = randomOf(seed)
  const actions = [...Object.entries(DIRECT).map(entry => [...entry, targets.handler]), ...Object.entries(targets.port === undefined ? {} : CLIENT).map(entry => [...entry, targets.port])]
  while (performance.now() < until) {
    const [name, action, target] = actions[chance.random(actions.length)]
    // It takes all of `responseTimeout`.
    if (/^(hang|httpHang)$/.test(name) && chance.random(5) > 0) continue
    counts[name] = (counts[name] ?? 0) + 1
    await perform(name, action, target, chance, wrong)
  }
}

async function endWorkers (seed, until, loop, counts, wrong) {
  const chance = randomOf(seed)
  while (performance.now() < until) {
    const worker = new Worker(__filename, { workerData: { loop, seed: chance.random(2 ** 31) } })
    worker.on('error', error => wrong.push(`worker: ${error.stack}`))
    const ended = once(worker, 'exit')
    await sleep(100 + chance.random(500))
    worker.terminate()
    const isOver = await Promise.race([ended, sleep(PATIENCE, undefined, { ref: false })])
    if (isOver === undefined) {
      wrong.push('worker: terminated, and has not ended')
      return
    }
    counts.workers = (counts.workers ?? 0) + 1
  }
}

async function measure (handler) {
  for (let round = 0; round < 5; round++) {
    globalThis.gc()
    await sleep(100)
  }
  // It also gives the memory back that the allocator keeps: before RSS is read.
  const { body } = await handler.handleRequest({ url: '/count' })
  const entries = folder => fs.existsSync(folder) ? fs.readdirSync(folder).length : 0
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage()
  return {
    // Without the pages that V8 keeps for its next garbage.
    memory: rss - (heapTotal - heapUsed),
    heap: heapUsed,
    external,
    handles: process.getActiveResourcesInfo().filter(kind => kind !== 'Timeout').length,
    descriptors: entries('/proc/self/fd'),
    threads: entries('/proc/self/task'),
    ...JSON.parse(body)
  }
}

/**
 * What may be more at the end than after the warm-up: pools of threads and the stacks that glibc keeps of ended ones (40 MiB of
 * them), Python's caches.
 */
const ROOM = { memory: 48 * 2 ** 20, heap: 4 * 2 ** 20, external: 4 * 2 ** 20, handles: 0, descriptors: 4, threads: 8, tasks: 0, objects: 500 }

async function phase (seed, seconds, targets, counts, wrong) {
  const until = performance.now() + seconds * 1000
  await Promise.all([
    ...Array.from({ length: ACTORS }, (_, index) => act(seed + index, until, targets, counts, wrong)),
    endWorkers(seed + ACTORS, until, targets.loop, counts, wrong)
  ])
  // Tasks that were told of a disconnect have their grace.
  for (let turn = 0; turn < 100 && targets.handler.stats().inFlight > 0; turn++) await sleep(20)
  await sleep(200)
}

async function main () {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, seconds: { type: 'string', default: '60' }, loop: { type: 'string', default: 'auto' } } })
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const seconds = Number(values.seconds)
  console.log(`seed ${seed}, ${seconds} s`)
  const [counts, wrong] = [{}, []]
  process.on('uncaughtException', error => wrong.push(`uncaught: ${error.stack}`))
  process.on('unhandledRejection', error => wrong.push(`unhandled: ${error?.stack}`))
  process.on('warning', warning => wrong.push(`warning: ${warning.stack}`))
  const handler = makeHandler(values.loop)
  const server = http.createServer(createRequestListener(handler, { onError () {} }))
  const sockets = attachWebSocket(server, handler, { onError () {} })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const targets = { handler, port: server.address().port, loop: values.loop }
  await phase(seed, seconds / 3, targets, counts, wrong)
  const before = await measure(handler)
  await phase(seed + 1000, seconds * 2 / 3, targets, counts, wrong)
  const after = await measure(handler)
  const { inFlight, queued, openStreams, openSockets } = handler.stats()
  if (inFlight + queued + openStreams + openSockets > 0) wrong.push(`something is left: ${JSON.stringify(handler.stats())}`)
  for (const [name, room] of Object.entries(ROOM)) {
    console.log(`${name.padEnd(12)} ${before[name]} → ${after[name]}`)
    if (after[name] > before[name] + room) wrong.push(`${name} did not return: ${before[name]}, then ${after[name]}`)
  }
  console.log(Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(', '))
  sockets.close()
  server.closeAllConnections()
  server.close()
  await handler.close()
  for (const line of new Set(wrong)) console.error(`FAILED  ${line}`)
  console.log(wrong.length === 0 ? 'all settled' : `${wrong.length} failures; seed ${seed}`)
  // A worker that does not end would keep the process.
  process.exit(wrong.length === 0 ? 0 : 1)
}

if (globalThis.gc === undefined) {
  require('node:v8').setFlagsFromString('--expose-gc')
  globalThis.gc = require('node:vm').runInNewContext('gc')
}

if (isMainThread) {
  main()
} else {
  const targets = { handler: makeHandler(workerData.loop) }
  const wrong = []
  for (let index = 0; index < 4; index++) act(workerData.seed + index, Infinity, targets, {}, wrong)
  setInterval(() => { if (wrong.length > 0) throw new Error(wrong[0]) }, 50)
}

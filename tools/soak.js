'use strict'

// Many requests, and what is left of them: the memory of the process, and Python's own objects.
//
//   npm run soak -- --requests 1000000
//
// A warm-up of as many comes first: caches fill, allocators take their arenas (RSS grows by 1 % in the second half million,
// and not after that). Then the growth from its end to the end of the run is
// judged: RSS below 1 %, `gc.get_objects` and tracemalloc flat. Exits with 1 where that does not hold.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { PythonHandler } = require('../index.js')

const APPLICATION = `
import asyncio, gc, json, tracemalloc


async def count(send):
    gc.collect()
    report = {"objects": len(gc.get_objects()), "tasks": len(asyncio.all_tasks())}
    if tracemalloc.is_tracing():
        report["traced"] = tracemalloc.get_traced_memory()[0]
    await reply(send, json.dumps(report).encode())


async def reply(send, content):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": content})


async def app(scope, receive, send):
    path = scope["path"]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message.get("text", "")})
        await send({"type": "websocket.close"})
    elif path == "/count":
        await count(send)
    elif path == "/trace":
        tracemalloc.start() if scope["query_string"] == b"on" else tracemalloc.stop()
        await reply(send, b"")
    elif path == "/raise":
        raise LookupError(path)
    elif path == "/wait":
        await asyncio.Event().wait()
    elif path == "/stream":
        await send({"type": "http.response.start", "status": 200})
        for _ in range(4):
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        await send({"type": "http.response.body"})
    else:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await reply(send, body)
`

/** Of a hundred requests: what each does. The order is the same in every run. */
const KINDS = [
  ...Array(60).fill('echo'), ...Array(20).fill('stream'), ...Array(8).fill('left'), ...Array(5).fill('raise'), ...Array(3).fill('abort'), ...Array(4).fill('socket')
]

const CONCURRENCY = 32

/** Parts of a run: memory is looked at after each. */
const PARTS = 10

const REQUESTS = {
  async echo (handler, number) {
    const { body } = await handler.handleRequest({ method: 'POST', url: `/echo?${number}`, headers: { 'x-number': String(number) }, body: `body ${number}` })
    if (String(body) !== `body ${number}`) throw new Error(`request ${number} got ${body}`)
  },
  async stream (handler, number) {
    let length = 0
    for await (const chunk of await handler.handleStream({ url: `/stream?${number}` })) length += chunk.length
    if (length !== 4000) throw new Error(`stream ${number} has ${length} bytes`)
  },
  async left (handler, number) {
    const response = await handler.handleStream({ url: `/stream?${number}` })
    response.cancel()
  },
  async raise (handler) {
    const error = await handler.handleRequest({ url: '/raise' }).catch(reason => reason)
    if (error.code !== 'ERR_PYTHON_EXCEPTION') throw error
  },
  async abort (handler) {
    const controller = new AbortController()
    const answer = handler.handleRequest({ url: '/wait' }, controller.signal)
    setImmediate(() => controller.abort())
    const error = await answer.catch(reason => reason)
    if (error.name !== 'AbortError') throw error
  },
  async socket (handler, number) {
    const socket = handler.connect(`/socket?${number}`)
    socket.addEventListener('open', () => socket.send(String(number)))
    for await (const message of socket) if (message !== String(number)) throw new Error(`socket ${number} got ${message}`)
  }
}

async function run (handler, first, count) {
  let next = first
  const end = first + count
  const work = async () => {
    for (let number = next++; number < end; number = next++) await REQUESTS[KINDS[(number * 37) % KINDS.length]](handler, number)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, work))
}

async function measure (handler) {
  for (let round = 0; round < 3; round++) {
    globalThis.gc()
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  const { body } = await handler.handleRequest({ url: '/count' })
  return { rss: process.memoryUsage.rss(), heap: process.memoryUsage().heapUsed, ...JSON.parse(body) }
}

/** Of a few samples: RSS goes up and down by some MiB with what the allocators and V8 keep for a while. */
function median (samples) {
  return samples.map(({ rss }) => rss).sort((a, b) => a - b)[Math.floor(samples.length / 2)]
}

const mib = bytes => `${(bytes / 2 ** 20).toFixed(1)} MiB`
const percent = (after, before) => 100 * (after - before) / before

async function main () {
  const { values } = parseArgs({ options: { requests: { type: 'string', default: '1000000' }, 'warm-up': { type: 'string' } } })
  const requests = Number(values.requests)
  const warmUp = Number(values['warm-up'] ?? Math.max(1_000, requests))
  const docroot = fs.mkdtempSync(path.join(os.tmpdir(), 'python-node-soak-'))
  fs.writeFileSync(path.join(docroot, 'soak.py'), APPLICATION)
  const handler = new PythonHandler({ docroot, appTarget: 'soak:app', lifespan: 'off', disconnectGrace: 0 })
  try {
    await run(handler, 0, warmUp)
    const begin = performance.now()
    const samples = [await measure(handler)]
    for (let part = 0; part < PARTS; part++) {
      await run(handler, warmUp + Math.floor(part * requests / PARTS), Math.floor(requests / PARTS))
      samples.push(await measure(handler))
    }
    const seconds = (performance.now() - begin) / 1000
    const before = { ...samples[0], rss: median(samples.slice(0, 3)) }
    const after = { ...samples.at(-1), rss: median(samples.slice(-3)) }
    // Tracing costs much of the speed: a part of the run of its own.
    await handler.handleRequest({ url: '/trace?on' })
    const part = Math.min(20_000, Math.max(1_000, Math.floor(requests / 50)))
    await run(handler, 0, 2 * part)
    const tracedBefore = await measure(handler)
    await run(handler, 2 * part, part)
    const tracedAfter = await measure(handler)
    await handler.handleRequest({ url: '/trace?off' })
    const growth = percent(after.rss, before.rss)
    const traced = tracedAfter.traced - tracedBefore.traced
    console.log(`${requests} requests after ${warmUp} in ${seconds.toFixed(0)} s`)
    console.log(`RSS          ${mib(before.rss)} → ${mib(after.rss)}, ${growth.toFixed(2)} %`)
    console.log(`             ${samples.map(({ rss }) => mib(rss)).join(', ')}`)
    console.log(`JS heap      ${mib(before.heap)} → ${mib(after.heap)}`)
    console.log(`gc objects   ${before.objects} → ${after.objects}`)
    console.log(`tasks        ${before.tasks} → ${after.tasks}`)
    console.log(`tracemalloc  ${tracedBefore.traced} → ${tracedAfter.traced} bytes over ${part} requests`)
    const { inFlight, openStreams, openSockets } = handler.stats()
    const wrong = []
    if (growth >= 1) wrong.push('RSS grew by 1 % or more')
    if (Math.abs(after.objects - before.objects) > 200) wrong.push('Python\'s objects are not as many as before')
    // Less than a byte a request: dictionaries and lists that grow in steps.
    if (traced > part) wrong.push('Python\'s traced memory grew')
    if (inFlight + openStreams + openSockets > 0) wrong.push(`something is left: ${JSON.stringify(handler.stats())}`)
    for (const line of wrong) console.error(`FAILED  ${line}`)
    process.exitCode = wrong.length === 0 ? 0 : 1
  } finally {
    await handler.close()
    fs.rmSync(docroot, { recursive: true })
  }
}

if (globalThis.gc === undefined) {
  require('node:v8').setFlagsFromString('--expose-gc')
  globalThis.gc = require('node:vm').runInNewContext('gc')
}
main()

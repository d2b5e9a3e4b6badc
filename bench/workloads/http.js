'use strict'

// HTTP over loopback TCP under wrk: this addon behind node:http, against the Python servers alone
// and behind a Node proxy, and node:http by itself.

const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { join } = require('node:path')
const { createInterface } = require('node:readline')
const { generateLoad } = require('../load')
const { processUsage } = require('../usage')
const { startServer } = require('../peers/undici')
const { freePort, granianServer } = require('../peers/granian')
const { uvicornServer } = require('../peers/uvicorn')

const SERVERS = join(__dirname, '..', 'servers')
const CONNECTIONS = 64

const START = {
  addon: (environment) => startNode('listener.js', ['hello'], environment),
  node: (environment) => startNode('plain.js', [], environment),
  'uvicorn-alone': () => startAlone(uvicornServer),
  'granian-alone': () => startAlone(granianServer),
  'proxy-uvicorn': (environment) => startProxied(uvicornServer, true, environment),
  'proxy-granian': (environment) => {
    return startProxied(granianServer, Boolean(environment.BENCH_GRANIAN_UDS), environment)
  }
}

async function enter (name, environment) {
  const { port, processes } = await START[name](environment)
  const cpu = () => processes.reduce((sum, { pid }) => sum + processUsage(pid).cpu, 0)

  async function sample ({ seconds }) {
    const before = cpu()
    const { requests, ...load } = await generateLoad({
      url: `http://127.0.0.1:${port}/hello`,
      connections: CONNECTIONS,
      seconds,
      environment
    })
    return { ...load, cpu: (cpu() - before) / requests }
  }

  function close () {
    for (const process of processes) process.kill('SIGTERM')
  }

  return { sample, close }
}

async function startNode (file, args, environment) {
  const child = spawn(process.execPath, [join(SERVERS, file), ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let message = ''
  child.stderr.on('data', (chunk) => { message += chunk })
  process.on('exit', () => child.kill())
  const lines = createInterface({ input: child.stdout })
  const [line] = await Promise.race([once(lines, 'line'), once(child, 'exit')])
  if (typeof line !== 'string') {
    throw new Error(/^\w*Error.*$/m.exec(message)?.[0] ?? `${file} ended with code ${line}`)
  }
  return { port: Number(line), processes: [child] }
}

async function startAlone (describe) {
  const port = await freePort()
  const child = await startServer(describe('hello', { port }))
  return { port, processes: [child] }
}

async function startProxied (describe, overSocket, environment) {
  const address = overSocket
    ? { path: join(environment.BENCH_SOCKETS, `proxied-${describe.name}.sock`) }
    : { port: await freePort() }
  const server = await startServer(describe('hello', address))
  const proxy = await startNode('proxy.js', [String(address.path ?? address.port)], environment)
  return { port: proxy.port, processes: [...proxy.processes, server] }
}

module.exports = [
  {
    id: 'http',
    title: 'hello over HTTP, 64 connections',
    participants: Object.keys(START),
    parameters: ({ seconds }) => ({ seconds: Math.max(1, Math.round(2 * seconds)) }),
    rounds: 3,
    budget: 30,
    enter,
    metrics: [
      {
        id: 'rate',
        unit: 'requests/s',
        better: 'higher',
        bounds: [
          { atLeast: 2, against: 'proxy-uvicorn' },
          { atLeast: 1, against: 'uvicorn-alone' }
        ]
      },
      { id: 'p99', name: 'p99', unit: 'ms', better: 'lower', bounds: [] },
      { id: 'cpu', name: 'servers’ CPU a request', unit: 'µs', better: 'lower', bounds: [] }
    ]
  }
]

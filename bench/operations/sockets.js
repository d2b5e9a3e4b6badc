'use strict'

// WebSockets through one driver: many at once, or one message after another.

const { performance } = require('node:perf_hooks')
const { percentile } = require('../statistics')

/**
 * Keeps one message going back and forth on each of `sockets` WebSockets for `seconds`.
 * @returns {Promise<{ rate: number, cpu: number }>} messages echoed a second, CPU microseconds a message
 */
async function echoes (driver, { path, sockets, text, seconds }) {
  const open = await Promise.all(Array.from({ length: sockets }, () => driver.connect(path)))
  let count = 0
  const cpu = driver.usage().cpu
  const start = performance.now()
  const end = start + seconds * 1e3
  await Promise.all(open.map((socket) => new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => {
      if (data !== text) reject(new Error('unexpected message'))
      count++
      if (performance.now() < end) socket.send(text)
      else resolve()
    }
    socket.onclose = () => reject(new Error('closed early'))
    socket.send(text)
  })))
  const elapsed = performance.now() - start
  const used = driver.usage().cpu - cpu
  await Promise.all(open.map(close))
  return { rate: count * 1e3 / elapsed, cpu: used / count }
}

/**
 * One message after another on one WebSocket for `seconds`.
 * @returns {Promise<{ p50: number, p99: number }>} microseconds
 */
async function pingPong (driver, { path, text, seconds }) {
  const socket = await driver.connect(path)
  const latencies = []
  const end = performance.now() + seconds * 1e3
  await new Promise((resolve, reject) => {
    let sent = performance.now()
    socket.onmessage = ({ data }) => {
      const now = performance.now()
      if (data !== text) reject(new Error('unexpected message'))
      latencies.push(now - sent)
      if (now >= end) return resolve()
      sent = performance.now()
      socket.send(text)
    }
    socket.onclose = () => reject(new Error('closed early'))
    socket.send(text)
  })
  await close(socket)
  const sorted = Float64Array.from(latencies).sort()
  return { p50: percentile(sorted, 0.5) * 1e3, p99: percentile(sorted, 0.99) * 1e3 }
}

function close (socket) {
  return new Promise((resolve) => {
    socket.onclose = resolve
    socket.close()
  })
}

module.exports = { echoes, pingPong }

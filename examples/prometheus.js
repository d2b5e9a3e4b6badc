'use strict'

// Metrics of a handler for Prometheus, with `prom-client`: what the diagnostics channels tell of each request, and what
// `stats()` says when somebody asks.
//
//   const { instrument } = require('./prometheus.js')
//   const { register } = instrument(handler)
//   await register.metrics()

const diagnostics = require('node:diagnostics_channel')
const { Gauge, Counter, Histogram, Registry } = require('prom-client')

/** Names of `stats()` that go up and down, and what they say. */
const GAUGES = {
  inFlight: 'Requests that the application works on',
  queued: 'Requests that wait',
  openStreams: 'Responses whose bodies are not read to their end',
  openSockets: 'WebSockets that are not closed',
  loopLag: 'Milliseconds that the Python thread lets its queue wait'
}

/** Those that only go up. Read, not counted: a gauge takes them as they are. */
const TOTALS = {
  completed: 'Requests that ended well',
  failed: 'Requests that ended with an error',
  aborted: 'Requests that the caller gave up',
  timedOut: 'Requests that ended by a timeout',
  rejected: 'Requests refused by maxQueued',
  bytesSent: 'Bytes given to the application',
  bytesReceived: 'Bytes taken from the application',
  waitingForPython: 'Milliseconds that requests have waited for the Python thread'
}

/** `timedOut` as a metric's name says it. */
function metricName (name, suffix = '') {
  return `python_node_${name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)}${suffix}`
}

/**
 * @param {import('@platformatic/python-node').PythonHandler} handler
 * @param {{ register?: Registry }} [options]
 * @returns {{ register: Registry, stop(): void }}
 */
function instrument (handler, { register = new Registry() } = {}) {
  for (const [names, suffix] of [[GAUGES, ''], [TOTALS, '_total']]) {
    for (const [name, help] of Object.entries(names)) {
      new Gauge({ name: metricName(name, suffix), help, registers: [register], collect () { this.set(handler.stats()[name]) } })
    }
  }
  const duration = new Histogram({
    name: 'python_node_request_duration_seconds',
    help: 'From the start of a request to its end',
    labelNames: ['method', 'status'],
    registers: [register]
  })
  const errors = new Counter({
    name: 'python_node_request_errors_total',
    help: 'Requests that failed, by the code of their error',
    labelNames: ['code'],
    registers: [register]
  })
  // No urls: every one would be a series of its own.
  const begun = new WeakMap()
  const listeners = {
    start: request => begun.set(request, performance.now()),
    end (request) {
      const start = begun.get(request)
      if (start === undefined) return
      duration.observe({ method: request.method, status: request.response?.status ?? 'none' }, (performance.now() - start) / 1000)
    },
    error: ({ error }) => errors.inc({ code: labelOf(error) })
  }
  for (const [name, listener] of Object.entries(listeners)) diagnostics.subscribe(`python-node:request:${name}`, listener)
  const stop = () => {
    for (const [name, listener] of Object.entries(listeners)) diagnostics.unsubscribe(`python-node:request:${name}`, listener)
  }
  return { register, stop }
}

/** The `code` of an abort's reason (a DOMException) is a number that says nothing. */
function labelOf (error) {
  return typeof error?.code === 'string' ? error.code : error?.name ?? 'unknown'
}

module.exports = { instrument }

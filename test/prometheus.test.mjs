// examples/prometheus.js: what it says after requests that ended in different ways.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import prometheus from '../examples/prometheus.js'
import { failure, serve, timeout } from './fixtures.mjs'
import { body, script, start } from './script.mjs'

/** The value of a metric, by its name and labels. */
async function read (register, line) {
  const found = (await register.metrics()).split('\n').find(each => each.startsWith(`${line} `))
  return found === undefined ? undefined : Number(found.slice(line.length + 1))
}

test('counts, times and errors are metrics', { timeout }, async t => {
  const handler = serve('script:app')
  const { register, stop } = prometheus.instrument(handler)
  t.after(() => handler.close({ timeout: 1000 }))
  await handler.handleRequest({ url: script(start(), body('ok')) })
  await handler.handleRequest({ method: 'POST', url: script(start({ status: 201 }), body()), body: 'abc' })
  await assert.rejects(handler.handleRequest({ url: script(['fail', 'it']) }), failure('ERR_PYTHON_EXCEPTION'))
  assert.equal(await read(register, 'python_node_completed_total'), 2)
  assert.equal(await read(register, 'python_node_failed_total'), 1)
  assert.equal(await read(register, 'python_node_in_flight'), 0)
  assert.equal(await read(register, 'python_node_bytes_sent_total'), 3)
  assert.equal(await read(register, 'python_node_bytes_received_total'), 2)
  assert.equal(await read(register, 'python_node_request_duration_seconds_count{method="GET",status="200"}'), 1)
  assert.equal(await read(register, 'python_node_request_duration_seconds_count{method="POST",status="201"}'), 1)
  assert.equal(await read(register, 'python_node_request_duration_seconds_count{method="GET",status="none"}'), 1)
  assert.equal(await read(register, 'python_node_request_errors_total{code="ERR_PYTHON_EXCEPTION"}'), 1)
  stop()
  await handler.handleRequest({ url: script(start(), body('ok')) })
  assert.equal(await read(register, 'python_node_request_duration_seconds_count{method="GET",status="200"}'), 1)
  assert.equal(await read(register, 'python_node_completed_total'), 3)
})

// examples/opentelemetry.js: one trace across Node and Python, with the SDKs of both.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer } from 'node:http'
import { after, describe, test } from 'node:test'
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, context, propagation, trace } from '@opentelemetry/api'
import { AlwaysOffSampler, InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import opentelemetry from '../examples/opentelemetry.js'
import { createRequestListener } from '../http.js'
import { Request } from '../index.js'
import { collect, failure, json, noted, notedSoFar, serveHttp, timeout } from './fixtures.mjs'

const { traced } = opentelemetry

const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
provider.register()
const tracer = trace.getTracer('test')

const handlers = []
function make (attribute, options) {
  const handler = traced(serveHttp(`tracing:${attribute}`), options)
  handlers.push(handler)
  return handler
}

after(async () => {
  // E.g. that a context is left in another than it was entered in.
  assert.equal(await notedSoFar('complaint'), null)
  await Promise.all(handlers.map(handler => handler.close({ timeout: 1000 })))
})

/** Runs `work` in a span of its own, the root of a new trace. */
function inSpan (work) {
  return tracer.startActiveSpan('caller', { root: true }, async span => {
    try {
      return await work(span)
    } finally {
      span.end()
    }
  })
}

/** The client spans of a trace that have ended. */
function clientSpans (traceId) {
  return exporter.getFinishedSpans().filter(span => span.kind === SpanKind.CLIENT && span.spanContext().traceId === traceId)
}

/** One trace: the caller's span, in it the only client span, and in that Python's server span. */
function assertOneTrace (caller, server) {
  const { traceId, spanId } = caller.spanContext()
  const [client, ...others] = clientSpans(traceId)
  assert.deepEqual(others, [])
  assert.equal(client.parentSpanContext.spanId, spanId)
  assert.equal(server.trace, traceId)
  assert.equal(server.parent, client.spanContext().spanId)
  return client
}

describe('one trace across Node and Python', () => {
  const handler = make('answers')

  test('with handleRequest: the server span is a child of the client span, and has ended', { timeout }, () => inSpan(async caller => {
    const request = { url: 'http://localhost/path?secret=1' }
    const { server, work } = json(await handler.handleRequest(request))
    assert.equal(trace.getActiveSpan(), caller)
    const client = assertOneTrace(caller, server)
    assert.deepEqual([work.trace, work.parent], [server.trace, server.id])
    assert.deepEqual(client.attributes, { 'http.request.method': 'GET', 'url.path': '/path', 'http.response.status_code': 200 })
    assert.equal(client.name, 'GET')
    assert.equal(client.status.code, SpanStatusCode.UNSET)
    assert.deepEqual(request, { url: 'http://localhost/path?secret=1' })
    assert.deepEqual(await noted(`ended:${server.id}`), { ...server, status: 'UNSET' })
  }))

  test('with a Request, again and again', { timeout }, async () => {
    const request = new Request({ method: 'POST', url: '/', headers: { accept: 'a' }, body: 'abc' })
    for (let turn = 0; turn < 2; turn++) {
      await inSpan(async caller => assertOneTrace(caller, json(await handler.handleRequest(request)).server))
    }
    assert.deepEqual(request.headers.entries(), [['accept', 'a']])
  })

  test('with handleStream, in each part of the body', { timeout }, () => inSpan(async caller => {
    const parts = []
    for await (const part of await make('streams').handleStream({ url: '/' })) {
      parts.push(part)
      assert.equal(trace.getActiveSpan(), caller)
    }
    const servers = Buffer.concat(parts).toString().trim().split('\n').map(line => JSON.parse(line))
    assert.equal(servers.length, 5)
    for (const server of servers) assertOneTrace(caller, server)
    await noted(`ended:${servers[0].id}`)
  }))

  test('with fetch', { timeout }, () => inSpan(async caller => {
    const response = await handler.fetch('/')
    assertOneTrace(caller, (await response.json()).server)
  }))

  test('with an application that reads `traceparent` itself', { timeout }, () => inSpan(async caller => {
    const { server, traceparent } = json(await make('extracts').handleRequest({ url: '/' }))
    const client = assertOneTrace(caller, server)
    assert.equal(traceparent, `00-${server.trace}-${client.spanContext().spanId}-01`)
  }))

  test('with a WebSocket whose headers are injected by hand', { timeout }, () => inSpan(async caller => {
    const headers = {}
    propagation.inject(context.active(), headers)
    const messages = []
    for await (const message of make('socket').connect('/', { headers })) messages.push(JSON.parse(message))
    const { traceId, spanId } = caller.spanContext()
    assert.deepEqual(messages.map(server => [server.trace, server.parent]), [[traceId, spanId]])
  }))

  test('baggage crosses, and what the headers said of another trace does not', { timeout }, () => inSpan(async caller => {
    const headers = { TraceParent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`, tracestate: 'other=1', baggage: 'other=1' }
    const active = propagation.setBaggage(context.active(), propagation.createBaggage({ user: { value: 'ünï' } }))
    const { server, baggage } = json(await context.with(active, () => handler.handleRequest({ url: '/', headers })))
    assertOneTrace(caller, server)
    assert.equal(server.state, '')
    assert.deepEqual(baggage, { user: 'ünï' })
    assert.equal(Object.keys(headers).length, 3)
  }))

  test('where nobody called, the client span is the root', { timeout }, async () => {
    const { server } = await context.with(ROOT_CONTEXT, async () => json(await handler.handleRequest({ url: '/' })))
    const [client] = clientSpans(server.trace)
    assert.equal(client.parentSpanContext, undefined)
    assert.equal(server.parent, client.spanContext().spanId)
  })

  test('what is not sampled here is not sampled there', { timeout }, async () => {
    const unsampled = new NodeTracerProvider({ sampler: new AlwaysOffSampler() }).getTracer('test')
    const { traceparent } = json(await make('extracts', { tracer: unsampled }).handleRequest({ url: '/' }))
    assert.match(traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
  })
})

describe('errors', () => {
  const handler = make('fails')

  test('an exception is the client span\'s', { timeout }, () => inSpan(async caller => {
    await assert.rejects(handler.handleRequest({ url: '/raise' }), failure('ERR_PYTHON_EXCEPTION'))
    assert.equal(trace.getActiveSpan(), caller)
    const server = await noted('failing')
    const client = assertOneTrace(caller, server)
    assert.equal(client.status.code, SpanStatusCode.ERROR)
    assert.equal(client.attributes['error.type'], 'ERR_PYTHON_EXCEPTION')
    assert.deepEqual(client.events.map(({ name, attributes }) => [name, attributes['exception.type']]), [['exception', 'ERR_PYTHON_EXCEPTION']])
    assert.equal((await noted(`ended:${server.id}`)).status, 'ERROR')
  }))

  test('a status from 400 is one', { timeout }, () => inSpan(async caller => {
    await handler.handleRequest({ url: '/' })
    const [client] = clientSpans(caller.spanContext().traceId)
    assert.equal(client.status.code, SpanStatusCode.ERROR)
    assert.deepEqual([client.attributes['http.response.status_code'], client.attributes['error.type']], [410, '410'])
  }))

  for (const [what, reason, type] of [['a reason', 'enough', 'string'], ['none', undefined, 'AbortError']]) {
    test(`an abort with ${what} ends the span`, { timeout }, () => inSpan(async caller => {
      const answer = handler.handleRequest({ url: '/' }, AbortSignal.abort(reason))
      await answer.then(() => assert.fail('it is aborted'), error => { if (reason !== undefined) assert.equal(error, reason) })
      const [client] = clientSpans(caller.spanContext().traceId)
      assert.equal(client.attributes['error.type'], type)
    }))
  }

  for (const request of [undefined, null, 'text', {}, { url: 'http://' }, { url: '/', headers: { 'a b': '' } }]) {
    test(`a request that is none is the handler's to refuse: ${JSON.stringify(request)}`, { timeout }, async () => {
      await assert.rejects(handler.handleRequest(request), { name: 'PythonHandlerError', code: /^ERR_PYTHON_INVALID_/ })
    })
  }
})

describe('many at once', () => {
  const storage = new AsyncLocalStorage()
  const COUNT = 50

  test('no request gets another\'s trace, and each caller goes on in its own context', { timeout }, async () => {
    const handler = make('together')
    const traces = await Promise.all(Array.from({ length: COUNT }, (_, index) => storage.run(index, () => inSpan(async caller => {
      // They answer in another order than they came, half of them as streams.
      const request = { url: `/${COUNT}?${(index * 7) % 13}` }
      const isHere = () => assert.deepEqual([storage.getStore(), trace.getActiveSpan()], [index, caller])
      let body
      if (index % 2 === 0) {
        const response = await handler.handleStream(request)
        isHere()
        const parts = []
        for await (const part of response) {
          isHere()
          parts.push(part)
        }
        body = Buffer.concat(parts)
      } else {
        body = (await handler.handleRequest(request)).body
      }
      isHere()
      const { server, work } = JSON.parse(body)
      assertOneTrace(caller, server)
      assert.deepEqual([work.trace, work.parent], [server.trace, server.id])
      return server.trace
    }))))
    assert.equal(new Set(traces).size, COUNT)
  })

  test('events of a stream and callbacks are in the context of the caller', { timeout }, () => inSpan(async caller => {
    const seen = new Set()
    const note = name => () => { seen.add(`${name} ${trace.getActiveSpan() === caller}`) }
    const response = await make('streams').handleStream({ method: 'POST', url: '/', body: 'abc' }, {
      onUploadProgress: note('upload'),
      onDownloadProgress: note('download')
    })
    const stream = response.stream().on('data', note('data')).on('end', note('end'))
    await new Promise(resolve => stream.on('close', resolve))
    // Progress is told once a turn.
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    assert.deepEqual([...seen].sort(), ['data true', 'download true', 'end true', 'upload true'])
  }))
})

describe('behind an HTTP server', () => {
  /** Serves until the end of the test. In no span: what listens in one has it active in each of its requests. */
  function listen (t, listener) {
    return context.with(ROOT_CONTEXT, async () => {
      const server = createServer(listener)
      t.after(() => new Promise(resolve => server.close(resolve)))
      await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
      return `http://127.0.0.1:${server.address().port}`
    })
  }

  /** A client whose Node traces nothing but says in its headers which span is active. */
  async function ask (url, fields, init) {
    const headers = { connection: 'close', ...fields }
    propagation.inject(context.active(), headers)
    const response = await fetch(url, { ...init, headers })
    return response.json()
  }

  test('the trace of the client goes on', { timeout }, async t => {
    const url = await listen(t, createRequestListener(make('answers')))
    await inSpan(async caller => {
      const { server } = await ask(url, { tracestate: 'vendor=1' })
      assertOneTrace(caller, server)
      assert.equal(server.state, 'vendor=1')
    })
  })

  test('a span that the server made is the parent', { timeout }, async t => {
    const listener = createRequestListener(make('answers'))
    let caller
    // As the HTTP instrumentation of OpenTelemetry does it.
    const url = await listen(t, (req, res) => tracer.startActiveSpan('server', { root: true }, span => {
      caller = span
      res.on('close', () => span.end())
      listener(req, res)
    }))
    const { server } = await inSpan(() => ask(url, { tracestate: 'vendor=1' }))
    assertOneTrace(caller, server)
    assert.equal(server.state, '')
  })

  test('many clients at once, each with a trace of its own', { timeout }, async t => {
    const count = 51
    const url = await listen(t, createRequestListener(make('together')))
    const traces = await Promise.all(Array.from({ length: count }, (_, index) => inSpan(async caller => {
      const init = index % 2 === 0 ? undefined : { method: 'POST', body: 'abc' }
      const { server } = await ask(`${url}/${count}?${(index * 7) % 13}`, undefined, init)
      assertOneTrace(caller, server)
      return server.trace
    })))
    assert.equal(new Set(traces).size, count)
  })
})

test('without an SDK, headers cross as they are', { timeout }, async () => {
  trace.disable()
  propagation.disable()
  context.disable()
  const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`
  const response = await make('extracts').handleStream({ url: '/', headers: { traceparent } })
  assert.equal(JSON.parse(await collect(response)).traceparent, traceparent)
})

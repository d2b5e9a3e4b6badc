'use strict'

// Requests with a JSON body: by hand, and as most users have them, with FastAPI and a model.

const { ALL, IN_FLIGHT } = require('./participants')

const HEADERS = 20
const BODY_LENGTH = 1024

const echoHeaders = { 'content-type': 'application/json' }
for (let index = 1; index < HEADERS; index++) {
  echoHeaders[`x-header-${index}`] = `value ${index} of a header`
}

const frame = JSON.stringify({ id: 12345, text: '' })
const echoBody = JSON.stringify({ id: 12345, text: 'x'.repeat(BODY_LENGTH - frame.length) })

const modelBody = JSON.stringify({
  name: 'Widget',
  price: 29.99,
  tags: ['new', 'offer'],
  description: 'A widget for every purpose'
})

module.exports = [
  {
    id: 'json-echo',
    title: 'JSON echo, 20 headers + 1 KB, 64 in flight',
    app: 'echo',
    operation: 'concurrent',
    participants: ALL,
    parameters: ({ seconds }) => ({
      request: { method: 'POST', path: '/echo', headers: echoHeaders, body: echoBody },
      inFlight: IN_FLIGHT,
      seconds
    }),
    metrics: [
      {
        id: 'rate',
        unit: 'requests/s',
        better: 'higher',
        bounds: [{ atLeast: 5, against: 'uvicorn' }, { atLeast: 0.4, against: 'floor' }]
      },
      { id: 'cpu', name: 'CPU a request', unit: 'µs', better: 'lower', bounds: [] }
    ]
  },
  {
    id: 'fastapi-model',
    title: 'FastAPI POST with a model, 64 in flight',
    app: 'model',
    operation: 'concurrent',
    participants: ALL,
    parameters: ({ seconds }) => ({
      request: {
        method: 'POST',
        path: '/items/42?notify=true',
        headers: { host: 'localhost', 'content-type': 'application/json' },
        body: modelBody
      },
      inFlight: IN_FLIGHT,
      seconds
    }),
    metrics: [
      {
        id: 'rate',
        unit: 'requests/s',
        better: 'higher',
        bounds: [{ atLeast: 2, against: 'uvicorn' }, { atLeast: 0.85, against: 'floor' }]
      },
      { id: 'cpu', name: 'CPU a request', unit: 'µs', better: 'lower', bounds: [] }
    ]
  }
]

'use strict'

// The smallest answer: what the way of a request costs by itself.

const { ALL, IN_PROCESS, IN_FLIGHT } = require('./participants')

const request = {
  method: 'GET',
  path: '/hello?x=1',
  headers: {
    host: 'localhost:3000',
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36',
    accept: '*/*',
    'accept-language': 'en-US,en;q=0.9',
    'accept-encoding': 'gzip, deflate, br',
    referer: 'http://localhost:3000/',
    cookie: 'a=b; c=d',
    'x-request-id': '1234567890',
    'cache-control': 'no-cache'
  }
}

const parameters = ({ seconds }) => ({ request, seconds })

module.exports = [
  {
    id: 'hello-sequential',
    title: 'hello, one after another',
    app: 'hello',
    operation: 'sequential',
    participants: ALL,
    parameters,
    metrics: [
      { id: 'p50', name: 'p50', unit: 'µs', better: 'lower', bounds: [{ atMost: 0.6, against: 'uvicorn' }] },
      { id: 'p99', name: 'p99', unit: 'µs', better: 'lower', bounds: [] }
    ]
  },
  {
    id: 'hello-concurrent',
    title: 'hello, 64 in flight',
    app: 'hello',
    operation: 'concurrent',
    participants: ALL,
    parameters: (size) => ({ ...parameters(size), inFlight: IN_FLIGHT }),
    metrics: [
      {
        id: 'rate',
        unit: 'requests/s',
        better: 'higher',
        bounds: [{ atLeast: 5, against: 'uvicorn' }, { atLeast: 0.5, against: 'floor' }]
      },
      {
        id: 'cpu',
        name: 'CPU a request',
        unit: 'µs',
        better: 'lower',
        bounds: [{ atMost: 0.25, against: 'uvicorn' }, { atMost: 3, against: 'floor' }]
      }
    ]
  },
  {
    id: 'hello-sync',
    title: 'hello, blocking',
    app: 'hello',
    operation: 'sync',
    floorOperation: 'sequential',
    participants: IN_PROCESS,
    parameters,
    metrics: [
      { id: 'rate', unit: 'requests/s', better: 'higher', bounds: [] },
      { id: 'p50', name: 'p50', unit: 'µs', better: 'lower', bounds: [] }
    ]
  }
]

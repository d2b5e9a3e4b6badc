'use strict'

// WebSockets that echo: in process, and the `ws` client against uvicorn over a unix socket.

const PARTICIPANTS = ['addon', 'uvicorn']

const TEXT = 'x'.repeat(32)
const SOCKETS = 100

module.exports = [
  {
    id: 'websocket-echo',
    title: 'WebSocket echo, 32 characters, 100 sockets',
    app: 'web_socket',
    operation: 'echoes',
    participants: PARTICIPANTS,
    parameters: ({ seconds }) => ({ request: {}, path: '/', sockets: SOCKETS, text: TEXT, seconds }),
    metrics: [
      { id: 'rate', unit: 'messages/s', better: 'higher', bounds: [{ atLeast: 100_000 }] },
      { id: 'cpu', name: 'CPU a message', unit: 'µs', better: 'lower', bounds: [] }
    ]
  },
  {
    id: 'websocket-ping',
    title: 'WebSocket ping-pong, one socket',
    app: 'web_socket',
    operation: 'pingPong',
    participants: PARTICIPANTS,
    parameters: ({ seconds }) => ({ request: {}, path: '/', text: TEXT, seconds }),
    metrics: [
      { id: 'p50', name: 'p50', unit: 'µs', better: 'lower', bounds: [{ atMost: 0.6, against: 'uvicorn' }] },
      { id: 'p99', name: 'p99', unit: 'µs', better: 'lower', bounds: [] }
    ]
  }
]

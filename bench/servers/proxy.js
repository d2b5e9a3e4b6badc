'use strict'

// A reverse proxy on node:http and undici: `proxy.js <unix socket | port>`; prints its port.
// `stream` writes the answer straight into the response, undici's quickest way for a proxy.

const http = require('node:http')

const { Pool } = require(process.env.BENCH_UNDICI)
const [target] = process.argv.slice(2)
const pool = /^\d+$/.test(target)
  ? new Pool(`http://127.0.0.1:${target}`, { connections: 64 })
  : new Pool('http://localhost', { socketPath: target, connections: 64 })

// Headers of one connection are not the next one's (RFC 9110, 7.6.1).
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade'])

const server = http.createServer((request, response) => {
  const headers = {}
  for (const name in request.headers) {
    if (!HOP_BY_HOP.has(name)) headers[name] = request.headers[name]
  }
  const hasBody = request.headers['content-length'] || request.headers['transfer-encoding']
  const options = {
    method: request.method,
    path: request.url,
    headers,
    body: hasBody ? request : null
  }
  const accept = ({ statusCode, headers }) => {
    for (const name of HOP_BY_HOP) delete headers[name]
    response.writeHead(statusCode, headers)
    return response
  }
  pool.stream(options, accept).catch(() => {
    if (response.headersSent) response.destroy()
    else response.writeHead(502).end()
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))

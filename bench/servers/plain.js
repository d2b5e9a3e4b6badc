'use strict'

// node:http that answers hello by itself, without Python: the ceiling of any server behind it.
// Prints its port.

const http = require('node:http')

const BODY = 'Hello world!'
const HEADERS = { 'content-type': 'text/plain', 'content-length': BODY.length }

const server = http.createServer((request, response) => {
  response.writeHead(200, HEADERS)
  response.end(BODY)
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))

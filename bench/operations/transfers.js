'use strict'

// One large body, received or sent as a stream.

const { performance } = require('node:perf_hooks')

const MEGABYTE = 2 ** 20

/**
 * Reads a streamed response to its end and counts its bytes.
 * @returns {Promise<{ megabytes: number, chunks: number }>} a second; chunks as the app sent them
 */
async function download (driver, { request, count, size }) {
  const start = performance.now()
  const response = await driver.open(request)
  let length = 0
  for await (const chunk of response.chunks) length += chunk.length
  const seconds = (performance.now() - start) / 1e3
  if (length !== count * size) throw new Error(`unexpected length: ${length}`)
  return { megabytes: length / MEGABYTE / seconds, chunks: count / seconds }
}

/**
 * Sends a streamed request body; the app answers with the number of bytes it received.
 * @returns {Promise<{ megabytes: number }>} a second
 */
async function upload (driver, { request, count, size }) {
  const chunk = Buffer.alloc(size, 'x')

  async function * body () {
    for (let index = 0; index < count; index++) yield chunk
  }

  const headers = { ...request.headers, 'content-length': String(count * size) }
  const start = performance.now()
  const response = await driver.upload({ ...request, headers, body: body() })
  const seconds = (performance.now() - start) / 1e3
  if (String(response.body) !== String(count * size)) {
    throw new Error(`unexpected answer: ${response.status} ${response.body}`)
  }
  return { megabytes: count * size / MEGABYTE / seconds }
}

module.exports = { download, upload }

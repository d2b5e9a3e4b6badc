'use strict'

// The published package @platformatic/python-node, in the measured process. Its directory comes in
// BENCH_PUBLISHED; the parent process has installed it there and found it to load.

const { join } = require('node:path')
const { combinedUsage } = require('../usage')

const APPS = join(__dirname, '..', 'apps')

class PublishedDriver {
  #handler
  #Request

  constructor (handler, Request) {
    this.#handler = handler
    this.#Request = Request
  }

  request (request) {
    return this.#handler.handleRequest(this.#build(request))
  }

  requestSync (request) {
    return this.#handler.handleRequestSync(this.#build(request))
  }

  /** Its `write()` waits for a reader, so the handler has to be running before the first chunk. */
  async upload ({ body, ...request }) {
    const message = this.#build(request)
    const answer = this.#handler.handleStream(message)
    for await (const chunk of body) await message.write(chunk)
    await message.end()
    const response = await answer
    const chunks = []
    for await (const chunk of response) chunks.push(chunk)
    return { status: response.status, body: Buffer.concat(chunks) }
  }

  async open (request) {
    const message = this.#build(request)
    const answer = this.#handler.handleStream(message)
    await message.end()
    const response = await answer
    return { status: response.status, chunks: response }
  }

  usage () {
    return combinedUsage()
  }

  #build ({ method = 'GET', path, headers, body }) {
    return new this.#Request({ method, url: `http://localhost${path}`, headers, body })
  }
}

/**
 * @param {string} app the name of a file in apps/
 * @returns {Promise<PublishedDriver>}
 */
async function start (app) {
  const { Python, Request } = require(process.env.BENCH_PUBLISHED)
  const handler = new Python({ docroot: APPS, appTarget: `${app}:app` })
  return new PublishedDriver(handler, Request)
}

module.exports = { title: 'published 2.0.0', start }

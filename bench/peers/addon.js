'use strict'

// This addon through its public API, in the measured process.

const { join } = require('node:path')
const { combinedUsage } = require('../usage')

const ADDON = join(__dirname, '..', '..')
const APPS = join(__dirname, '..', 'apps')

class AddonDriver {
  #handler

  constructor (handler) {
    this.#handler = handler
  }

  request ({ method, path, headers, body }) {
    return this.#handler.handleRequest({ method, url: path, headers, body })
  }

  requestSync ({ method, path, headers, body }) {
    return this.#handler.handleRequestSync({ method, url: path, headers, body })
  }

  upload (request) {
    return this.request(request)
  }

  async open ({ method, path, headers, body }) {
    const response = await this.#handler.handleStream({ method, url: path, headers, body })
    return { status: response.status, chunks: response }
  }

  /** @returns {Promise<WebSocket>} an open one */
  connect (path) {
    return opened(this.#handler.connect(path))
  }

  usage () {
    return combinedUsage()
  }
}

function opened (socket) {
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(socket)
    socket.onerror = ({ error }) => reject(error)
  })
}

/**
 * @param {string} app the name of a file in apps/
 * @returns {Promise<AddonDriver>}
 */
async function start (app) {
  const { PythonHandler } = require(ADDON)
  return new AddonDriver(await PythonHandler.load({ docroot: APPS, appTarget: `${app}:app` }))
}

module.exports = { title: 'this addon', start }

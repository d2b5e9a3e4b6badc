'use strict'

// A file, or a part of one, as a part of a response body (pathsend, zerocopysend): read by Node, not by Python.

const fs = require('node:fs')
const { isAbsolute } = require('node:path')
const { PythonHandlerError } = require('./errors.js')

const CHUNK = 64 * 1024

class FileSource {
  #path
  #fd
  #position
  #left
  /** What the system does with it now: it is closed after that. */
  #isBusy = false
  #isClosed = false
  #closeFile

  /**
   * @param {{ path: string } | { fd: number, offset: number, count: number, closeFile: (fd: number) => void }} slice
   *   a descriptor is closed at the end, by who lent it
   */
  constructor ({ path, fd = -1, offset = 0, count = Infinity, closeFile = fd => fs.close(fd, ignore) }) {
    /** Bytes that the application's window counts for it. */
    this.counted = fd === -1 ? 0 : count
    this.#path = path
    this.#fd = fd
    this.#position = offset
    this.#left = count
    this.#closeFile = closeFile
  }

  /** @returns {Promise<Buffer | null>} the next chunk, or null at the end, or where it was closed meanwhile */
  async read () {
    if (this.#left === 0 || this.#isClosed) return this.#end()
    this.#isBusy = true
    try {
      if (this.#fd === -1) this.#fd = await this.#open()
      return this.#isClosed ? null : await this.#readChunk()
    } catch (error) {
      this.#isClosed = true
      throw error
    } finally {
      this.#isBusy = false
      if (this.#isClosed) this.close()
    }
  }

  async #readChunk () {
    const wanted = Math.min(CHUNK, this.#left)
    const buffer = Buffer.allocUnsafeSlow(wanted)
    const length = await new Promise((resolve, reject) => {
      fs.read(this.#fd, buffer, 0, wanted, this.#position, (error, read) => error ? reject(error) : resolve(read))
    })
    if (this.#isClosed) return null
    if (length === 0) {
      this.#isClosed = true
      return null
    }
    this.#position += length
    this.#left -= length
    return length === wanted ? buffer : buffer.subarray(0, length)
  }

  /** Gives the file back, also before its end. */
  close () {
    this.#isClosed = true
    // Its number could be another file's by then.
    if (this.#isBusy || this.#fd === -1) return
    const fd = this.#fd
    this.#fd = -1
    this.#closeFile(fd)
  }

  /** @returns {Promise<number>} a descriptor */
  async #open () {
    // docs/extensions.rst. The working folder is not the application's.
    if (!isAbsolute(this.#path)) {
      throw new PythonHandlerError('ERR_PYTHON_INVALID_RESPONSE', `path of a file is not absolute: ${this.#path}`)
    }
    return new Promise((resolve, reject) => {
      fs.open(toFileName(this.#path), 'r', (error, fd) => error ? reject(error) : resolve(fd))
    })
  }

  #end () {
    this.close()
    return null
  }
}

/** A name as the file system has it: Python says bytes that are no UTF-8 as lone surrogates (PEP 383). */
function toFileName (path) {
  if (path.isWellFormed()) return path
  const parts = []
  for (const character of path) {
    const code = character.codePointAt(0)
    parts.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - 0xdc00]) : Buffer.from(character))
  }
  return Buffer.concat(parts)
}

/** A file that was only read has nothing to lose. */
function ignore () {}

module.exports = { FileSource }

'use strict'

// Large bodies as streams, and many small chunks.

const { ALL } = require('./participants')

const CHUNK = 64 * 1024
const SMALL_CHUNK = 100

/**
 * The figures are rates. The published package, at 50 MB/s and 5,000 chunks/s, gets an eighth:
 * all of it would take longer than everything else together.
 */
const share = (name) => name === 'published' ? 1 / 8 : 1

/** 256 MB and 100,000 chunks; a fraction of them in a quick run and for a warm-up. */
const chunkCount = ({ scale }, name) => Math.round(4096 * scale * share(name))
const smallChunkCount = ({ scale }, name) => Math.round(100_000 * scale * share(name))

const path = (name, count, size) => `/${name}?count=${count}&size=${size}`

module.exports = [
  {
    id: 'download',
    title: 'download, 256 MB in 64 KiB chunks',
    app: 'stream',
    operation: 'download',
    participants: ALL,
    parameters: (size, name) => ({
      request: { path: path('download', chunkCount(size, name), CHUNK) },
      count: chunkCount(size, name),
      size: CHUNK
    }),
    metrics: [
      { id: 'megabytes', unit: 'MB/s', better: 'higher', bounds: [{ atLeast: 4, against: 'uvicorn' }] }
    ]
  },
  {
    id: 'upload',
    title: 'streamed upload, 256 MB',
    app: 'stream',
    operation: 'upload',
    participants: ALL,
    parameters: (size, name) => ({
      request: { method: 'POST', path: '/upload' },
      count: chunkCount(size, name),
      size: CHUNK
    }),
    metrics: [
      { id: 'megabytes', unit: 'MB/s', better: 'higher', bounds: [{ atLeast: 4, against: 'uvicorn' }] }
    ]
  },
  {
    id: 'chunks',
    title: '100,000 chunks of 100 bytes',
    app: 'stream',
    operation: 'download',
    participants: ALL,
    parameters: (size, name) => ({
      request: { path: path('chunks', smallChunkCount(size, name), SMALL_CHUNK) },
      count: smallChunkCount(size, name),
      size: SMALL_CHUNK
    }),
    metrics: [
      { id: 'chunks', unit: 'chunks/s', better: 'higher', bounds: [{ atLeast: 200_000 }] }
    ]
  }
]

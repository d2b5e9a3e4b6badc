// The fixture applications of fixtures/*.py as handlers, and what fixtures/witness.py has seen.

import { fileURLToPath } from 'node:url'
import { PythonHandler } from '../index.js'

export const docroot = fileURLToPath(new URL('fixtures', import.meta.url))

/** Milliseconds a test may take: far more than a correct one needs, on any machine. */
export const timeout = 60_000

/** A handler for `module:attribute` in the folder fixtures. */
export function serve (appTarget, options) {
  return new PythonHandler({ docroot, appTarget, ...options })
}

/** The mark that tests of backpressure count on. */
export const highWaterMark = 64 * 1024

/** The same for an application that knows nothing but HTTP. */
export function serveHttp (appTarget, options) {
  return serve(appTarget, { lifespan: 'off', highWaterMark, ...options })
}

let witness

/** The value that an application noted under a name; waits until it has. */
export async function noted (name) {
  witness ??= serve('witness:app', { responseTimeout: 0 })
  return json(await witness.handleRequest({ url: `/noted/${name}` }))
}

/** The value noted so far, or null. The application's loop has turned in between. */
export async function notedSoFar (name) {
  witness ??= serve('witness:app', { responseTimeout: 0 })
  return json(await witness.handleRequest({ url: `/so-far/${name}` }))
}

/** Lets everybody go on who awaits `witness.released(name)`. */
export async function release (name) {
  witness ??= serve('witness:app', { responseTimeout: 0 })
  await witness.handleRequest({ url: `/release/${name}` })
}

export function json (response) {
  return JSON.parse(response.body)
}

/** The rest of a body. */
export async function collect (body) {
  const chunks = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** A function that says whether `promise` has settled. */
export function watch (promise) {
  let settled = false
  const settle = () => { settled = true }
  promise.then(settle, settle)
  return () => settled
}

/** Several turns of both event loops: time for everything that is ready to happen. */
export async function turns (count = 20) {
  for (let turn = 0; turn < count; turn++) await notedSoFar('turn')
}

/** For `assert.rejects` and `assert.throws`: an error of this package with a code. */
export function failure (code, message) {
  return message === undefined ? { name: 'PythonHandlerError', code } : { name: 'PythonHandlerError', code, message }
}

// Requests that tell the application in fixtures/script.py what to do, as steps of ASGI messages.

let lastName = 0

/** A name that no other test uses. */
export function unique (text) {
  return `${text}-${++lastName}`
}

/** The url of a request for these steps. */
export function script (...steps) {
  return `/script?${encodeURIComponent(JSON.stringify(steps))}`
}

/** Bytes, in a step or in what the application noted. */
export function bytes (text) {
  return { $bytes: text }
}

/** The header pairs of a message. */
export function pairs (fields) {
  return Object.entries(fields).map(([name, value]) => [bytes(name), bytes(value)])
}

/** `http.response.start` as a step. */
export function start (fields) {
  return ['send', { type: 'http.response.start', status: 200, ...fields }]
}

/** `http.response.body` as a step. */
export function body (text = '', fields) {
  return ['send', { type: 'http.response.body', body: bytes(text), ...fields }]
}

/** `http.response.body` with more to come. */
export function part (text) {
  return body(text, { more_body: true })
}

/** `websocket.connect`, then `websocket.accept`. */
export function accept (fields) {
  return [['receive'], ['send', { type: 'websocket.accept', ...fields }]]
}

export function text (content) {
  return ['send', { type: 'websocket.send', text: content }]
}

export function binary (content) {
  return ['send', { type: 'websocket.send', bytes: bytes(content) }]
}

export function close (fields) {
  return ['send', { type: 'websocket.close', ...fields }]
}

/** Waits for an event; an AbortSignal of the test's own ends the wait. */
export function once (target, type) {
  return new Promise(resolve => target.addEventListener(type, resolve, { once: true }))
}

// docs/asgi.md: a row for each event and key of the specification, and only tests that exist.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import { describe, test } from 'node:test'
import { timeout } from './fixtures.mjs'

const SPECIFICATION = {
  'http: scope': [
    'type', 'asgi["version"]', 'asgi["spec_version"]', 'http_version', 'method', 'scheme', 'path', 'raw_path', 'query_string',
    'root_path', 'headers', 'client', 'server', 'state'
  ],
  'http: receive': { 'http.request': ['body', 'more_body'], 'http.disconnect': [] },
  'http: send': { 'http.response.start': ['status', 'headers', 'trailers'], 'http.response.body': ['body', 'more_body'] },
  'websocket: scope': [
    'type', 'asgi["version"]', 'asgi["spec_version"]', 'http_version', 'scheme', 'path', 'raw_path', 'query_string', 'root_path',
    'headers', 'client', 'server', 'subprotocols', 'state'
  ],
  'websocket: receive': { 'websocket.connect': [], 'websocket.receive': ['bytes', 'text'], 'websocket.disconnect': ['code', 'reason'] },
  'websocket: send': {
    'websocket.accept': ['subprotocol', 'headers'], 'websocket.send': ['bytes', 'text'], 'websocket.close': ['code', 'reason']
  },
  lifespan: {
    type: [], 'asgi["version"]': [], 'asgi["spec_version"]': [], state: [], 'lifespan.startup': [], 'lifespan.startup.complete': [],
    'lifespan.startup.failed': ['message'], 'lifespan.shutdown': [], 'lifespan.shutdown.complete': [], 'lifespan.shutdown.failed': ['message']
  },
  tls: ['server_cert', 'client_cert_chain', 'client_cert_name', 'client_cert_error', 'tls_version', 'cipher_suite'],
  extensions: {
    'websocket.http.response': [], 'websocket.http.response.start': [], 'websocket.http.response.body': [],
    'http.response.push': ['path', 'headers'], 'http.response.zerocopysend': ['file', 'offset', 'count', 'more_body'],
    'http.response.pathsend': ['path'], 'http.response.early_hint': ['links'],
    'http.response.trailers': ['headers', 'more_trailers'], 'http.response.debug': ['info'], tls: []
  }
}

/** The rows of each section: `[specification, here, proved by]`. */
function readRows () {
  const rows = new Map()
  let section
  for (const line of fs.readFileSync(new URL('../docs/asgi.md', import.meta.url), 'utf8').split('\n')) {
    if (line.startsWith('## ')) rows.set(section = line.slice(3), [])
    else if (line.startsWith('| ') && !/^\| (specification|---) /.test(line)) rows.get(section).push(line.slice(2, -2).split(' | '))
  }
  return rows
}

/** The names of the tests of a file, as they are written there. */
function namesOf (file) {
  const source = fs.readFileSync(new URL(`${file}.test.mjs`, import.meta.url), 'utf8')
  return new Set([...source.matchAll(/\btest\((?:'((?:\\.|[^'\\])*)'|`((?:\\.|[^`\\])*)`|(String\([^,]*, \d+\)))/g)].map(
    ([, quoted, template, expression]) => quoted?.replaceAll('\\\'', '\'') ?? template ?? `\${${expression}}`
  ))
}

const rows = readRows()

describe('docs/asgi.md', () => {
  for (const [section, keys] of Object.entries(SPECIFICATION)) {
    test(`has a row for each event and key: ${section}`, { timeout }, () => {
      const wanted = Array.isArray(keys)
        ? keys.map(key => `\`${key}\``)
        : Object.entries(keys).flatMap(([event, fields]) => [`\`${event}\``, ...fields.map(field => `\`${event}\` \`${field}\``)])
      const found = rows.get(section).map(([specification]) => specification)
      assert.deepEqual(wanted.filter(row => !found.includes(row)), [])
      assert.equal(new Set(found).size, found.length)
    })
  }

  test('names only tests that exist, at least one in each row', { timeout }, () => {
    const missing = []
    for (const [section, found] of rows) {
      for (const row of found) {
        assert.equal(row.length, 3, `${section}: ${row}`)
        for (const proof of row[2].split('; ')) {
          const [, file, name] = /^([a-z-]+): (.+)$/.exec(proof)
          if (!namesOf(file).has(name)) missing.push(`${section}: ${row[0]}: ${proof}`)
        }
      }
    }
    assert.deepEqual(missing, [])
  })
})

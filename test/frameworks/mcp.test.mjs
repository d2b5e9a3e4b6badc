// The `mcp` SDK's streamable HTTP server: apps/mcp_app.py, with the SDK's client outside, and by hand in process.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { needsPython, pythonClient, serve, timeout } from './faces.mjs'

const skip = needsPython('mcp', 10)

describe('MCP', { skip }, async () => {
  if (skip) return
  const { handler, origin, errors } = await serve('mcp_app:app', { lifespan: 'on' })

  for (const mode of ['legacy', 'auto']) {
    test(`the SDK's client (mode ${mode}): tools, progress, errors, resources, prompts`, { timeout }, async () => {
      const seen = await pythonClient('mcp_session', `${origin}/mcp`, mode)
      assert.deepEqual(seen, {
        tools: ['brew', 'seen', 'spill', 'steep'],
        brewed: 'green tea, 2 minutes',
        progress: [1, 2, 3].map(minute => [minute, 3, `minute ${minute}`]),
        steeped: 'steeped',
        spilt: true,
        resource: 'leaves of oolong',
        prompt: 'Invite Ann to tea.',
        together: Array.from({ length: 10 }, (_, number) => `${number} tea, 3 minutes`)
      })
    })
  }

  describe('through fetch', () => {
    const post = (message, headers) => handler.fetch(`${origin}/mcp`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
      body: JSON.stringify({ jsonrpc: '2.0', ...message })
    })

    /** The messages of an event stream, as they come. */
    async function * messagesOf (response) {
      assert.match(response.headers.get('content-type'), /^text\/event-stream/)
      let text = ''
      for await (const chunk of response.body) {
        text += Buffer.from(chunk).toString().replaceAll('\r\n', '\n')
        for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
          const data = text.slice(0, end).split('\n').filter(line => line.startsWith('data:')).map(line => line.slice(5)).join('')
          text = text.slice(end + 2)
          if (data.trim() !== '') yield JSON.parse(data)
        }
      }
    }

    async function initialize () {
      const response = await post({
        id: 0,
        method: 'initialize',
        params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
      })
      assert.equal(response.status, 200)
      const { value } = await messagesOf(response).next()
      assert.equal(value.result.serverInfo.name, 'tea house')
      const session = {
        'mcp-session-id': response.headers.get('mcp-session-id'),
        'mcp-protocol-version': value.result.protocolVersion
      }
      const initialized = await post({ method: 'notifications/initialized' }, session)
      assert.equal(initialized.status, 202)
      return session
    }

    test('a tool\'s result', { timeout }, async () => {
      const session = await initialize()
      const response = await post({ id: 1, method: 'tools/call', params: { name: 'brew', arguments: { leaf: 'black' } } }, session)
      const { value } = await messagesOf(response).next()
      assert.equal(value.result.content[0].text, 'black tea, 3 minutes')
    })

    test('the GET stream stays open until the session is deleted', { timeout }, async () => {
      const session = await initialize()
      const stream = await handler.fetch(`${origin}/mcp`, { headers: { accept: 'text/event-stream', ...session } })
      assert.equal(stream.status, 200)
      const deleted = await handler.fetch(`${origin}/mcp`, { method: 'DELETE', headers: session })
      assert.equal(deleted.status, 200)
      let rest = ''
      for await (const chunk of stream.body) rest += Buffer.from(chunk)
      assert.doesNotMatch(rest, /data: \S/)
      assert.equal((await post({ id: 2, method: 'tools/list' }, session)).status, 404)
    })
  })

  test('nothing of this was an error to the listener', () => {
    assert.deepEqual(errors.filter(({ code }) => code !== 'ERR_PYTHON_CLIENT_DISCONNECTED'), [])
  })
})

// python-socketio with the real socket.io client: apps/socketio_app.py. In process, the client's transports are
// `handler.fetch` and `handler.connect`; outside, its own.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { Fetch, WebSocket } from 'engine.io-client'
import { io } from 'socket.io-client'
import { attachWebSocket } from '../../http.js'
import { serve, timeout } from './faces.mjs'

/** Milliseconds a client may take to connect: one that is never answered waits without a word. */
const CONNECT_LIMIT = 5_000

const service = await serve('socketio_app:app')
const { handler, server, origin, errors } = service
attachWebSocket(server, handler)

class InProcessPolling extends Fetch {
  _fetch (data) {
    return data === undefined
      ? handler.fetch(this.uri())
      : handler.fetch(this.uri(), { method: 'POST', body: data, headers: { 'content-type': 'text/plain;charset=UTF-8' } })
  }
}

class InProcessWebSocket extends WebSocket {
  createSocket (uri, protocols) {
    return handler.connect(uri, { protocols })
  }
}

async function noted (name) {
  return JSON.parse((await handler.handleRequest({ url: `/noted/${encodeURIComponent(name)}` })).body)
}

for (const [name, transports] of [
  ['handler.fetch', [InProcessPolling]],
  ['handler.connect', [InProcessWebSocket]],
  ['handler.fetch, upgraded to handler.connect', [InProcessPolling, InProcessWebSocket]],
  ['createRequestListener', ['polling']],
  ['attachWebSocket', ['websocket']],
  ['createRequestListener, upgraded to attachWebSocket', ['polling', 'websocket']]
]) {
  describe(`through ${name}`, () => {
    const open = async (t, options) => {
      const socket = io(origin, {
        transports, forceNew: true, reconnection: false, auth: { token: 'tea', name }, ...options
      })
      t.after(() => socket.disconnect())
      await new Promise((resolve, reject) => {
        socket.once('connect', resolve).once('connect_error', reject)
        AbortSignal.timeout(CONNECT_LIMIT).addEventListener('abort', () => reject(new Error('the client has not connected')))
      })
      return socket
    }

    test('an event with an acknowledgement, an event from the server, binary', { timeout }, async t => {
      const socket = await open(t)
      assert.deepEqual(await socket.timeout(10_000).emitWithAck('echo', 'grün', { tea: [1, null] }), ['grün', { tea: [1, null] }])
      const reversed = once(socket, 'reversed')
      socket.emit('reverse', Buffer.from([1, 2, 3]))
      assert.deepEqual((await reversed)[0], Buffer.from([3, 2, 1]))
      const large = 'tea'.repeat(100_000)
      assert.deepEqual(await socket.timeout(10_000).emitWithAck('echo', large), [large])
    })

    test('the server asks and is answered', { timeout }, async t => {
      const socket = await open(t)
      socket.on('question', ({ number }, answer) => answer(number + 1))
      assert.equal(await socket.timeout(10_000).emitWithAck('ask'), 42)
    })

    test('a room of two, and a namespace', { timeout }, async t => {
      const ann = await open(t)
      const bob = await open(t)
      for (const socket of [ann, bob]) await socket.timeout(10_000).emitWithAck('join', `room of ${name}`)
      const heard = Promise.all([once(ann, 'said'), once(bob, 'said')])
      ann.emit('say', `room of ${name}`, 'tea?')
      assert.deepEqual(await heard, [[{ name, text: 'tea?' }], [{ name, text: 'tea?' }]])
      const admin = ann.io.socket('/admin')
      assert.equal(await admin.timeout(10_000).emitWithAck('greet', 'ann'), 'hello ann')
    })

    test('a connection that the server refuses', { timeout }, async t => {
      await assert.rejects(open(t, { auth: { token: 'coffee' } }), { message: 'no token' })
    })

    test('the server is told that the client has left', { timeout }, async t => {
      const socket = await open(t, { auth: { token: 'tea', name: `leaver ${name}` } })
      socket.disconnect()
      assert.equal(await noted(`left leaver ${name}`), true)
    })

    if (transports.length === 2) {
      test('the transport is upgraded', { timeout }, async t => {
        const socket = await open(t)
        const { engine } = socket.io
        if (engine.transport.name !== 'websocket') await once(engine, 'upgrade')
        assert.equal(engine.transport.name, 'websocket')
        assert.deepEqual(await socket.timeout(10_000).emitWithAck('echo', 1), [1])
      })
    }
  })
}

test('on_startup has run, and other requests go to the other application', { timeout }, async () => {
  assert.equal(await noted('startup'), true)
  assert.equal((await fetch(`${origin}/nowhere`)).status, 404)
})

test('nothing of this was an error to the listener', () => {
  assert.deepEqual(errors.filter(({ code }) => code !== 'ERR_PYTHON_CLIENT_DISCONNECTED'), [])
})

// `handler.fetch`: the application behind the Fetch standard's own Request and Response.

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { failure, noted, notedSoFar, release, serve, timeout, turns, watch } from './fixtures.mjs'
import { body, bytes, pairs, part, script, start, unique } from './script.mjs'

const handler = serve('script:app', { responseTimeout: 0, highWaterMark: 65_536 })
const echo = serve('fetch_echo:app')

after(() => handler.close({ timeout: 1000 }))

const run = (steps, init) => handler.fetch(script(...steps), init)

/** The method, headers and body that the application saw. */
async function seen (input, init) {
  return (await echo.fetch(input, init)).json()
}

describe('a request', () => {
  for (const [what, input, expected] of [
    ['a path', '/a%20b?c=d', 'http://localhost/a%20b?c=d'],
    ['a url', 'https://example.com:8443/a?b', 'https://example.com:8443/a?b'],
    ['a URL', new URL('http://example.com/a'), 'http://example.com/a'],
    ['a Request', new Request('http://example.com/a'), 'http://example.com/a']
  ]) {
    test(`may be ${what}`, { timeout }, async () => {
      const response = await echo.fetch(input)
      assert.ok(response instanceof Response)
      assert.equal(response.url, expected)
      const { scheme, host, target } = await response.json()
      assert.equal(`${scheme}://${host}${target}`, expected)
    })
  }

  test('is a GET without a body', { timeout }, async () => {
    const { method, body, more } = await seen('/')
    assert.deepEqual({ method, body, more }, { method: 'GET', body: '', more: false })
  })

  for (const [what, make, expected, type] of [
    ['a string', () => 'grüße', Buffer.from('grüße').toString('latin1'), 'text/plain;charset=UTF-8'],
    ['bytes', () => new Uint8Array([0, 255]), '\0\xff', undefined],
    ['URLSearchParams', () => new URLSearchParams({ a: 'b c' }), 'a=b+c', 'application/x-www-form-urlencoded;charset=UTF-8'],
    ['a Blob', () => new Blob(['blob'], { type: 'text/x' }), 'blob', 'text/x'],
    ['a ReadableStream', () => new Blob(['streamed']).stream(), 'streamed', undefined],
    ['an async iterable', () => (async function * () { yield Buffer.from('it'); yield Buffer.from('erated') })(), 'iterated', undefined]
  ]) {
    test(`may have ${what} as its body`, { timeout }, async () => {
      const { method, body, headers } = await seen('/', { method: 'POST', body: make() })
      assert.equal(method, 'POST')
      assert.equal(body, expected)
      assert.equal(headers['content-type'], type)
    })
  }

  test('may be a form', { timeout }, async () => {
    const form = new FormData()
    form.set('field', 'value')
    const { body, headers } = await seen('/', { method: 'POST', body: form })
    assert.match(headers['content-type'], /^multipart\/form-data; boundary=/)
    assert.match(body, /name="field"\r\n\r\nvalue\r\n/)
  })

  test('may be a Request with a body, and init on top', { timeout }, async () => {
    const request = new Request('http://example.com/a', { method: 'PUT', body: 'content', headers: { 'x-a': '1' } })
    const { method, body, headers } = await seen(request, { headers: { 'x-b': '2' } })
    assert.deepEqual([method, body, headers['x-a'], headers['x-b']], ['PUT', 'content', undefined, '2'])
  })

  // Fetch standard, HTTP-network-or-cache fetch, 8.5: applications that read a body by its length need it (WSGI).
  test('whose body is known says its length', { timeout }, async () => {
    assert.equal((await seen('/', { method: 'POST', body: 'grüße' })).headers['content-length'], '7')
    assert.equal((await seen('/', { method: 'POST' })).headers['content-length'], '0')
    assert.equal((await seen('/', { method: 'POST', body: '' })).headers['content-length'], '0')
  })

  for (const [what, make, length] of [
    ['a string', () => 'grüße', '7'],
    ['an empty string', () => '', '0'],
    ['bytes', () => new Uint8Array(100_000), '100000'],
    ['a Blob of parts', () => new Blob(['ab', new Blob(['c'.repeat(100_000)])]), '100002'],
    ['a stream that has ended', () => new Blob(['streamed']).stream(), '8']
  ]) {
    test(`that is a Request with ${what} says its length`, { timeout }, async () => {
      const request = new Request('http://example.com/', { method: 'POST', body: make(), duplex: 'half' })
      const { headers, body } = await seen(request)
      assert.equal(headers['content-length'], length)
      assert.equal(body.length, Number(length))
    })
  }

  test('that is a Request with a form says its length', { timeout }, async () => {
    const form = new FormData()
    form.set('field', 'value')
    form.set('file', new Blob(['x'.repeat(3_000_000)]), 'x.txt')
    const { headers, body } = await seen(new Request('http://example.com/', { method: 'POST', body: form }))
    assert.match(headers['content-type'], /^multipart\/form-data; boundary=/)
    assert.equal(headers['content-length'], String(body.length))
    assert.match(body, /name="field"\r\n\r\nvalue\r\n/)
  })

  for (const [what, headers] of [
    ['a length', { 'content-length': '3' }],
    ['a transfer coding', { 'transfer-encoding': 'chunked' }]
  ]) {
    test(`that is a Request which says ${what} says no other`, { timeout }, async () => {
      const request = new Request('http://example.com/', { method: 'POST', headers, body: 'abc' })
      const answer = await seen(request)
      assert.equal(answer.body, 'abc')
      assert.equal(answer.headers['content-length'], headers['content-length'])
      assert.equal(answer.headers['transfer-encoding'], headers['transfer-encoding'])
    })
  }

  test('that is a Request with a large body says no length', { timeout }, async () => {
    let left = 20
    const source = new ReadableStream({
      pull (controller) {
        if (left-- === 0) controller.close()
        else controller.enqueue(Buffer.alloc(1024 * 1024, 'x'))
      }
    })
    const { headers, body } = await seen(new Request('http://example.com/', { method: 'POST', body: source, duplex: 'half' }))
    assert.equal(headers['content-length'], undefined)
    assert.equal(body.length, 20 * 1024 * 1024)
  })

  // The application starts before the body ends, and what was there at once comes first.
  test('that is a Request sends a stream while it is made', { timeout }, async () => {
    const name = unique('chunk')
    let controller
    const source = new ReadableStream({ start (own) { controller = own } })
    controller.enqueue(Buffer.from('one'))
    const url = `http://localhost${script(['receive', `${name}.1`], ['receive', `${name}.2`], ['receive', `${name}.3`], start(), body('done'))}`
    const response = handler.fetch(new Request(url, { method: 'POST', body: source, duplex: 'half' }))
    assert.deepEqual(await noted(`${name}.1`), { type: 'http.request', body: bytes('one'), more_body: true })
    controller.enqueue(Buffer.from('two'))
    assert.deepEqual((await noted(`${name}.2`)).body, bytes('two'))
    controller.enqueue(Buffer.from('three'))
    assert.deepEqual((await noted(`${name}.3`)).body, bytes('three'))
    controller.close()
    assert.equal(await (await response).text(), 'done')
  })

  test('that is a Request whose stream fails, at once or later, rejects with that error', { timeout }, async () => {
    const url = `http://localhost${script(['swallow', unique('end')], ['forever', unique('end')])}`
    for (const late of [false, true]) {
      let controller
      const source = new ReadableStream({ start (own) { controller = own } })
      const response = handler.fetch(new Request(url, { method: 'POST', body: source, duplex: 'half' }))
      const rejection = assert.rejects(response, new RangeError('broken source'))
      if (late) await turns()
      controller.error(new RangeError('broken source'))
      await rejection
    }
  })

  test('that is a Request whose stream nobody reads on has it cancelled', { timeout }, async () => {
    let cancelled
    const isCancelled = new Promise(resolve => { cancelled = resolve })
    const source = new ReadableStream({
      async pull (controller) {
        await new Promise(resolve => setTimeout(resolve, 1))
        controller.enqueue(Buffer.alloc(1000))
      },
      cancel: cancelled
    })
    const url = `http://localhost${script(start(), body('done'))}`
    const response = await handler.fetch(new Request(url, { method: 'POST', body: source, duplex: 'half' }))
    assert.equal(await response.text(), 'done')
    await isCancelled
  })

  test('sends a stream while it is made', { timeout }, async () => {
    const name = unique('chunk')
    let controller
    const source = new ReadableStream({ start (own) { controller = own } })
    const response = run([['receive', `${name}.1`], ['receive', `${name}.2`], ['receive', `${name}.3`], start(), body('done')], { method: 'POST', body: source })
    controller.enqueue(Buffer.from('one'))
    assert.deepEqual((await noted(`${name}.1`)).body, bytes('one'))
    controller.enqueue(Buffer.from('two'))
    assert.deepEqual((await noted(`${name}.2`)).body, bytes('two'))
    controller.close()
    assert.equal(await (await response).text(), 'done')
  })

  test('whose stream fails rejects with that error', { timeout }, async () => {
    const name = unique('end')
    const source = new ReadableStream({ start (own) { own.error(new RangeError('broken source')) } })
    await assert.rejects(run([['swallow', name], ['forever', name]], { method: 'POST', body: source }), new RangeError('broken source'))
  })

  test('has state, extensions and a socket', { timeout }, async () => {
    const name = unique('scope')
    await run([['scope_as', name], start(), body()], {
      state: { user: 'me' }, extensions: { own: { a: 1 } }, socket: { remoteAddress: '10.0.0.1', remotePort: 1 }
    })
    const { state, extensions, client } = await noted(name)
    assert.deepEqual(state, { user: 'me' })
    assert.deepEqual(extensions.own, { a: 1 })
    assert.deepEqual(client, ['10.0.0.1', 1])
  })

  test('needs no handler before the dot: frameworks pass the function on', { timeout }, async () => {
    const { fetch } = echo
    assert.equal((await (await fetch('/a')).json()).target, '/a')
    assert.equal(echo.fetch, fetch)
  })

  test('that fetch itself would refuse is refused', { timeout }, async () => {
    await assert.rejects(handler.fetch('no url'), TypeError)
    await assert.rejects(handler.fetch('/', { method: 'GET', body: 'a' }), TypeError)
  })
})

describe('a response', () => {
  test('has status, headers and body', { timeout }, async () => {
    const headers = [...pairs({ 'content-type': 'text/plain', 'x-a': '\xff' }), ...pairs({ 'set-cookie': 'a=1' }), ...pairs({ 'set-cookie': 'b=2' })]
    const response = await run([start({ status: 418, headers }), body('teapot')])
    assert.equal(response.status, 418)
    assert.equal(response.ok, false)
    assert.equal(response.headers.get('x-a'), '\xff')
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2'])
    assert.equal(await response.text(), 'teapot')
  })

  // Fetch standard, Response class, `url`.
  test('has a url without a fragment', { timeout }, async () => {
    const response = await echo.fetch('http://example.com/a?b#c')
    assert.equal(response.url, 'http://example.com/a?b')
    assert.equal((await response.json()).target, '/a?b')
  })

  test('may be read in every way', { timeout }, async () => {
    const make = () => run([start({ headers: pairs({ 'content-type': 'application/x-www-form-urlencoded' }) }), part('a='), part(''), body('1')])
    assert.equal(await (await make()).text(), 'a=1')
    assert.equal(Buffer.from(await (await make()).arrayBuffer()).toString(), 'a=1')
    assert.equal(await (await (await make()).blob()).text(), 'a=1')
    assert.equal((await (await make()).formData()).get('a'), '1')
    const response = await make()
    const copy = response.clone()
    assert.equal(await response.text() + await copy.text(), 'a=1a=1')
    const reader = (await make()).body.getReader({ mode: 'byob' })
    const { value } = await reader.read(new Uint8Array(1))
    assert.equal(Buffer.from(value).toString(), 'a')
    await reader.cancel()
  })

  test('is there at the head, its body as it comes', { timeout }, async () => {
    const name = unique('go')
    const response = await run([start(), part('one'), ['released', name], body('two')])
    const reader = response.body.getReader()
    assert.equal(Buffer.from((await reader.read()).value).toString(), 'one')
    const next = reader.read()
    const settled = watch(next)
    await turns()
    assert.equal(settled(), false)
    await release(name)
    assert.equal(Buffer.from((await next).value).toString(), 'two')
    assert.equal((await reader.read()).done, true)
  })

  test('that nobody reads holds the application back', { timeout }, async () => {
    const name = unique('sent')
    const chunk = { type: 'http.response.body', body: { $zeros: 16_384 }, more_body: true }
    const response = await run([start(), ['repeat', 100, name, chunk], body()])
    await turns()
    assert.ok(await notedSoFar(name) < 10)
    assert.equal((await response.arrayBuffer()).byteLength, 1_638_400)
  })

  test('rejects as fetch does: urls that are not http, and a redirect where none is allowed', { timeout }, async () => {
    const location = script(['send', { type: 'http.response.start', status: 302, headers: pairs({ location: '/x' }) }], body())
    for (const [attempt, code] of [
      [() => handler.fetch('ws://localhost/'), 'ERR_PYTHON_INVALID_URL'], [() => handler.fetch('data:text/plain,a'), 'ERR_PYTHON_INVALID_URL'],
      [() => handler.fetch(location, { redirect: 'error' }), 'ERR_PYTHON_REDIRECT']
    ]) {
      await assert.rejects(attempt(), error => error instanceof TypeError && error.cause.code === code)
    }
  })

  test('of a url that begins with two slashes is of that host, as in a browser', { timeout }, async () => {
    const name = unique('scope')
    await handler.fetch(`//tea.test${script(['scope_as', name], start(), body())}`)
    assert.deepEqual((await noted(name)).headers[0], [bytes('host'), bytes('tea.test')])
  })

  test('is not redirected, and keeps no cookies', { timeout }, async () => {
    const response = await run([start({ status: 302, headers: pairs({ location: '/elsewhere', 'set-cookie': 'a=1' }) }), body()])
    assert.equal(response.status, 302)
    assert.equal(response.redirected, false)
    assert.equal((await seen('/')).headers.cookie, undefined)
  })

  for (const status of [204, 205, 304]) {
    test(`of status ${status} has no body`, { timeout }, async () => {
      const response = await run([start({ status }), body()])
      assert.equal(response.status, status)
      assert.equal(response.body, null)
    })
  }

  test('to HEAD has no body', { timeout }, async () => {
    const response = await run([start({ headers: pairs({ 'content-length': '5' }) }), part('abc'), body('de')], { method: 'HEAD' })
    assert.equal(response.headers.get('content-length'), '5')
    assert.equal(response.body, null)
  })

  test('beyond status 599 is an error', { timeout }, async () => {
    await assert.rejects(run([start({ status: 799 }), body()]), failure('ERR_PYTHON_INVALID_STATUS'))
  })

  test('of an application that raises is a rejection, and a failing body after the head', { timeout }, async () => {
    await assert.rejects(run([['fail', 'broken']]), failure('ERR_PYTHON_EXCEPTION'))
    const response = await run([start(), part('one'), ['fail', 'broken']])
    await assert.rejects(response.text(), failure('ERR_PYTHON_EXCEPTION'))
  })

  test('has the debug information of the application', { timeout }, async () => {
    const response = await run([['send', { type: 'http.response.debug', info: { template: 'a' } }], start(), body()])
    assert.deepEqual(response.debug, { template: 'a' })
    assert.equal('debug' in await run([start(), body()]), false)
  })
})

describe('a signal', () => {
  test('that was aborted before: the application is not called', { timeout }, async () => {
    const name = unique('called')
    const reason = new RangeError('enough')
    await assert.rejects(run([['note', name], start(), body()], { signal: AbortSignal.abort(reason) }), reason)
    await turns()
    assert.equal(await notedSoFar(name), null)
  })

  test('before the head rejects with its reason', { timeout }, async () => {
    const name = unique('end')
    const controller = new AbortController()
    const response = run([['receive'], ['receive', name]], { signal: controller.signal })
    await turns()
    controller.abort(new RangeError('enough'))
    await assert.rejects(response, new RangeError('enough'))
    assert.deepEqual(await noted(name), { type: 'http.disconnect' })
  })

  test('of a Request counts as well', { timeout }, async () => {
    const controller = new AbortController()
    const request = new Request(`http://localhost${script(['forever', unique('never')])}`, { signal: controller.signal })
    const response = handler.fetch(request)
    controller.abort(new RangeError('enough'))
    await assert.rejects(response, new RangeError('enough'))
  })

  test('is not needed to end a HEAD whose application never ends', { timeout }, async () => {
    const name = unique('end')
    const response = await run([start(), part('one'), ['receive'], ['receive', name]], { method: 'HEAD' })
    assert.equal(response.body, null)
    assert.deepEqual(await noted(name), { type: 'http.disconnect' })
  })

  test('while the body of a Request is read ahead ends that as well', { timeout }, async () => {
    const controller = new AbortController()
    let pulls = 0
    let cancelled
    const whenCancelled = new Promise(resolve => { cancelled = resolve })
    const stream = new ReadableStream({
      pull (source) {
        source.enqueue(new Uint8Array(1024))
        if (++pulls === 10) controller.abort(new RangeError('enough'))
      },
      cancel: reason => cancelled(reason)
    })
    const request = new Request('http://localhost/', { method: 'POST', body: stream, duplex: 'half', signal: controller.signal })
    await assert.rejects(handler.fetch(request), new RangeError('enough'))
    assert.deepEqual(await whenCancelled, new RangeError('enough'))
    // A part or two may have been asked for by then.
    assert.ok(pulls < 20, `${pulls} parts`)
  })

  test('after the head fails the body with its reason', { timeout }, async () => {
    const name = unique('end')
    const controller = new AbortController()
    const response = await run([start(), part('one'), ['receive'], ['receive', name]], { signal: controller.signal })
    const reading = response.text()
    controller.abort(new RangeError('enough'))
    await assert.rejects(reading, new RangeError('enough'))
    assert.deepEqual(await noted(name), { type: 'http.disconnect' })
  })

  test('has no need to be there: a body that is cancelled is a disconnect', { timeout }, async () => {
    const name = unique('end')
    const response = await run([start(), part('one'), ['receive'], ['receive', name]])
    await response.body.cancel()
    assert.deepEqual(await noted(name), { type: 'http.disconnect' })
  })
})

// How an application is found and imported: targets, document roots, options, and what goes wrong there.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { after, describe, test } from 'node:test'
import { inspect } from 'node:util'
import * as everything from '../index.js'
import { docroot as fixtures, failure, json, noted, notedSoFar, release, timeout, turns } from './fixtures.mjs'

const { Python, PythonHandler } = everything
const created = []

/** A new document root with these files. */
function folder (files, name = 'docroot') {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'python-node-')))
  created.push(base)
  const docroot = join(base, name)
  mkdirSync(docroot)
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(docroot, file)), { recursive: true })
    writeFileSync(join(docroot, file), content)
  }
  return docroot
}

after(() => {
  for (const base of created) rmSync(base, { recursive: true })
})

/** An application that answers with the value of a Python expression. */
const answering = (expression, name = 'app') => `
import json

async def ${name}(scope, receive, send):
    body = json.dumps(${expression}).encode()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})
`

const ask = async handler => json(await handler.handleRequest({ url: '/' }))
const both = [
  ['new PythonHandler', async options => new PythonHandler(options)],
  ['PythonHandler.load', options => PythonHandler.load(options)]
]

describe('the package', () => {
  test('has the same names for require and import', { timeout }, () => {
    const required = createRequire(import.meta.url)('../index.js')
    for (const name of ['Headers', 'Python', 'PythonHandler', 'PythonHandlerError', 'Request', 'Response']) {
      assert.equal(typeof everything[name], 'function', name)
      assert.equal(everything[name], required[name])
    }
    assert.equal(Python, PythonHandler)
  })
})

for (const [name, make] of both) {
  describe(name, () => {
    test('imports main:app by default', { timeout }, async () => {
      const docroot = folder({ 'main.py': answering('__name__') })
      const handler = await make({ docroot })
      assert.ok(handler instanceof PythonHandler)
      assert.equal(handler.docroot, docroot)
      assert.equal(await ask(handler), 'main')
    })

    for (const [target, expected] of [
      ['other:application', 'other'],
      ['package:app', 'package'],
      ['package.module:app', 'package.module'],
      ['package.inner.deep:app', 'package.inner.deep'],
      ['namespace.module:app', 'namespace.module'],
      ['other:holder.app', 'held'],
      ['other:Holder.nested.app', 'nested'],
      ['other:instance', 'instance'],
      ['other:partial', 'partial'],
      ['other:bound.method', 'method'],
      ['änderung:größe', 'änderung'],
      [{ file: 'other', function: 'application' }, 'other'],
      [{ file: 'package.module', function: 'app' }, 'package.module'],
      [{ file: 'other.py', function: 'application' }, 'other'],
      [{ file: 'package/module.py', function: 'app' }, 'package.module']
    ]) {
      test(`imports ${inspect(target)}`, { timeout }, async () => {
        const docroot = folder({
          'other.py': `
import functools
${answering('__name__', 'application')}
${answering('"held"', 'held')}
${answering('"nested"', 'nested')}

async def with_argument(value, scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b'"%s"' % value})

class Holder:
    class nested:
        app = staticmethod(nested)

class Instance:
    async def __call__(self, scope, receive, send):
        await with_argument(b"instance", scope, receive, send)

    async def method(self, scope, receive, send):
        await with_argument(b"method", scope, receive, send)

holder = Holder()
holder.app = held
instance = Instance()
bound = Instance()
partial = functools.partial(with_argument, b"partial")
`,
          'package/__init__.py': answering('__name__'),
          'package/module.py': 'from . import app as outer\nfrom .inner import deep\n' + answering('__name__'),
          'package/inner/__init__.py': '',
          'package/inner/deep.py': 'from ...package import app as outer\n'.replace('...package', '..') + answering('__name__'),
          'namespace/module.py': answering('__name__'),
          'änderung.py': answering('__name__', 'größe')
        })
        assert.equal(await ask(await make({ docroot, appTarget: target })), expected)
      })
    }

    for (const [label, source, pythonType, pattern] of [
      ['a module that raises', 'def load():\n    raise ValueError("out of order: ä☃")\n\nload()\n', 'ValueError', /broken\.py", line 2, in load\n[^]*ValueError: out of order: ä☃/],
      ['a syntax error', 'def load(:\n', 'SyntaxError', /broken\.py", line 1/],
      ['a missing dependency', 'import no_such_module_anywhere\n', 'ModuleNotFoundError', /no_such_module_anywhere/],
      ['a missing name', 'from json import no_such_name\n', 'ImportError', /no_such_name/],
      ['SystemExit', 'import sys\nsys.exit(3)\n', 'SystemExit', /broken\.py", line 2/],
      ['KeyboardInterrupt', 'raise KeyboardInterrupt\n', 'KeyboardInterrupt', /broken\.py", line 1/],
      ['a chained exception', 'try:\n    {}["a"]\nexcept KeyError as error:\n    raise RuntimeError("outer") from error\n', 'RuntimeError', /KeyError: 'a'[^]*RuntimeError: outer/],
      ['a NUL', 'app = 1\0\n', null, /broken|null/i]
    ]) {
      test(`fails with the traceback for ${label}`, { timeout }, async () => {
        const docroot = folder({ 'broken.py': source })
        await assert.rejects(make({ docroot, appTarget: 'broken:app' }), error => {
          assert.equal(error.name, 'PythonHandlerError')
          assert.equal(error.code, 'ERR_PYTHON_IMPORT')
          if (pythonType !== null) assert.equal(error.pythonType, pythonType)
          assert.match(error.message, /`broken`/)
          assert.match(error.message, pattern)
          assert.match(error.traceback, pattern)
          return true
        })
      })
    }

    test('fails for a module that is not there', { timeout }, async () => {
      await assert.rejects(make({ docroot: folder({}), appTarget: 'nowhere:app' }), error => {
        assert.equal(error.code, 'ERR_PYTHON_IMPORT')
        assert.equal(error.pythonType, 'ModuleNotFoundError')
        assert.match(error.message, /nowhere/)
        return true
      })
    })

    test('fails for an attribute that is not there, or cannot be called', { timeout }, async () => {
      const docroot = folder({ 'main.py': answering('1') + '\nnumber = 1\nnothing = None\n' })
      for (const [attribute, pattern] of [['application', /main.*application/], ['app.inner', /inner/], ['number', /number.*int/], ['nothing', /nothing.*NoneType/]]) {
        await assert.rejects(make({ docroot, appTarget: `main:${attribute}` }), { ...failure('ERR_PYTHON_TARGET'), message: pattern })
      }
    })

    test('a file is the module that importlib would know it as', { timeout }, async () => {
      const docroot = folder({ 'with-dash.py': answering("'dash'"), 'pkg/__init__.py': answering("'package'"), 'pkg/deep.py': answering("'deep'") })
      for (const [file, expected] of [
        ['with-dash', 'dash'], ['with-dash.py', 'dash'], ['./with-dash.py', 'dash'], [join(docroot, 'with-dash.py'), 'dash'],
        ['pkg/__init__.py', 'package'], ['pkg/deep.py', 'deep'], [join(docroot, 'pkg', 'deep.py'), 'deep']
      ]) {
        assert.equal(await ask(await make({ docroot, appTarget: { file, function: 'app' } })), expected)
      }
    })

    for (const appTarget of ['', ':', 'main', 'main:', ':app', 'a:b:c', 'ma in:app', 'main:a-b', '.main:app', 'main.:app', '../main:app', 'main:app()', 'main:.app', '1main:app', 'main\0:app', 5, {}, { file: 'main' }, { function: 'app' }, { file: '', function: '' }, []]) {
      test(`refuses the target ${inspect(appTarget)}`, { timeout }, async () => {
        await assert.rejects(make({ docroot: folder({ 'main.py': answering('1') }), appTarget }), failure('ERR_PYTHON_TARGET'))
      })
    }

    for (const [options, code] of [
      [{ docroot: '/no/such/folder' }, 'ERR_PYTHON_DOCROOT'],
      [{ docroot: import.meta.filename ?? process.execPath }, 'ERR_PYTHON_DOCROOT'],
      [{ docroot: 5 }], [{ docroot: 'a\0b' }], [{ python: 5 }], [{ rootPath: 'api' }], [{ rootPath: 5 }], [{ loop: 'trio' }], [{ loop: 5 }],
      [{ responseTimeout: -1 }], [{ responseTimeout: NaN }], [{ responseTimeout: '1000' }], [{ responseTimeout: 2 ** 31 }],
      [{ disconnectGrace: -1 }], [{ disconnectGrace: '5' }], [{ deepbind: 'yes' }], [5], ['main:app']
    ]) {
      test(`refuses the options ${inspect(options)}`, { timeout }, async () => {
        const given = typeof options === 'object' && options.docroot === undefined ? { docroot: folder({ 'main.py': answering('1') }), ...options } : options
        await assert.rejects(make(given), failure(code ?? 'ERR_PYTHON_INVALID_ARGUMENT'))
      })
    }

    test('names the factory that raised', { timeout }, async () => {
      const docroot = folder({ 'main.py': 'def make():\n    raise ValueError("no settings")\n' })
      await assert.rejects(make({ docroot, appTarget: 'main:make', factory: true }), error => {
        assert.equal(error.code, 'ERR_PYTHON_IMPORT')
        assert.match(error.message, /^the factory `main:make` raised ValueError: no settings\n/)
        assert.match(error.traceback, /main\.py", line 2, in make\n/)
        assert.deepEqual([error.pythonType, error.pythonMessage], ['ValueError', 'no settings'])
        return true
      })
    })

    test('works after it failed, once the file is mended', { timeout }, async () => {
      const docroot = folder({ 'mended.py': 'raise ValueError("not yet")\n' })
      await assert.rejects(make({ docroot, appTarget: 'mended:app' }), failure('ERR_PYTHON_IMPORT'))
      writeFileSync(join(docroot, 'mended.py'), answering('"works"') + '\n# longer than before\n')
      assert.equal(await ask(await make({ docroot, appTarget: 'mended:app' })), 'works')
    })
  })
}

describe('PythonHandler.load', () => {
  test('does not block the JS thread while a module is imported', { timeout }, async () => {
    // The import ends when it sees a file that JavaScript writes meanwhile; it would give up after a minute.
    const docroot = folder({
      'slow.py': `
import os, time
for _ in range(6000):
    if os.path.exists(os.path.join(os.path.dirname(__file__), "go-on")):
        break
    time.sleep(0.01)
else:
    raise RuntimeError("JavaScript did not run")
${answering('"imported"')}`
    })
    const loading = PythonHandler.load({ docroot, appTarget: 'slow:app' })
    await new Promise(resolve => setImmediate(resolve))
    writeFileSync(join(docroot, 'go-on'), '')
    assert.equal(await ask(await loading), 'imported')
  })

  test('loads several at once', { timeout }, async () => {
    const handlers = await Promise.all(Array.from({ length: 10 }, (_, index) =>
      PythonHandler.load({ docroot: folder({ 'main.py': answering(String(index)) }) })))
    assert.deepEqual(await Promise.all(handlers.map(ask)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('gives an instance of the class it is called on', { timeout }, async () => {
    class Own extends PythonHandler {}
    const handler = await Own.load({ docroot: folder({ 'main.py': answering('1') }) })
    assert.ok(handler instanceof Own)
    assert.equal(await ask(handler), 1)
  })
})

describe('the document root', () => {
  for (const name of ['with spaces', 'ümläut-☃-🐍', "quote'd \"twice\"", 'per%20cent', 'a,b;c=d', '-dash', 'dots.in.name', 'back\\slash']) {
    test(`may be called ${name}`, { timeout }, async () => {
      const docroot = folder({ 'main.py': 'from helper import value\n' + answering('[value, __file__, scope["extensions"]["python_node"]["docroot"]]'), 'helper.py': 'value = 5\n' }, name)
      assert.deepEqual(await ask(new PythonHandler({ docroot })), [5, join(docroot, 'main.py'), docroot])
    })
  }

  test('may be relative to the working directory', { timeout }, async () => {
    const docroot = folder({ 'main.py': answering('1') })
    const handler = new PythonHandler({ docroot: relative(process.cwd(), docroot) })
    assert.equal(handler.docroot, docroot)
    assert.equal(await ask(handler), 1)
  })

  test('may be a symbolic link', { timeout }, async () => {
    const target = folder({ 'main.py': 'from helper import value\n' + answering('value'), 'helper.py': 'value = "linked"\n' })
    const link = join(dirname(target), 'link')
    symlinkSync(target, link)
    assert.equal(await ask(new PythonHandler({ docroot: link })), 'linked')
  })

  test('is the working directory by default', { timeout }, async t => {
    const before = process.cwd()
    t.after(() => process.chdir(before))
    const docroot = folder({ 'main.py': answering('"here"') })
    process.chdir(docroot)
    for (const handler of [new PythonHandler(), new PythonHandler(null), await PythonHandler.load(), await PythonHandler.load(null)]) {
      assert.equal(handler.docroot, docroot)
      assert.equal(await ask(handler), 'here')
    }
  })
})

describe('handlers side by side', () => {
  test('with a main.py and a helper.py each see their own', { timeout }, async () => {
    const make = value => new PythonHandler({
      docroot: folder({
        'main.py': 'import helper\n\ndef values():\n    import late\n    from package.part import value\n    return [helper.value, late.value, value]\n' + answering('values()'),
        'helper.py': `value = "${value}"\n`,
        'late.py': 'import helper\nvalue = "late " + helper.value\n',
        'package/__init__.py': '',
        'package/part.py': 'from helper import value as own\nvalue = "part " + own\n'
      })
    })
    const [one, two, three] = ['one', 'two', 'three'].map(make)
    for (let turn = 0; turn < 2; turn++) {
      const seen = await Promise.all([three, one, two].map(ask))
      assert.deepEqual(seen, ['three', 'one', 'two'].map(value => [value, `late ${value}`, `part ${value}`]))
    }
  })

  for (const [how, statement] of [['an import statement', 'import lazy'], ['importlib', 'lazy = __import__("importlib").import_module("lazy")']]) {
    test(`each import their own while requests run, by ${how}, in the task and in a thread`, { timeout }, async () => {
      const make = value => new PythonHandler({
        docroot: folder({
          'main.py': `
import asyncio, json

def load():
    ${statement}
    return lazy.value

async def app(scope, receive, send):
    values = [load(), await asyncio.get_running_loop().run_in_executor(None, load)]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": json.dumps(values).encode()})
`,
          'lazy.py': `value = "${value}"\n`
        })
      })
      const handlers = ['one', 'two'].map(make)
      assert.deepEqual(await Promise.all(handlers.map(ask)), [['one', 'one'], ['two', 'two']])
    })
  }

  test('of one document root share their modules', { timeout }, async () => {
    const docroot = folder({ 'main.py': 'loaded = []\nloaded.append(1)\nimport shared\n' + answering('[len(loaded), shared.counter]') + '\nother = app\n', 'shared.py': 'counter = 0\ncounter += 1\n' })
    const handlers = [new PythonHandler({ docroot }), await PythonHandler.load({ docroot }), new PythonHandler({ docroot, appTarget: 'main:other' })]
    for (const handler of handlers) assert.deepEqual(await ask(handler), [1, 1])
  })

  test('a document root does not hide the standard library from another', { timeout }, async () => {
    const hiding = new PythonHandler({ docroot: folder({ 'main.py': 'import colorsys\n' + answering('colorsys.own'), 'colorsys.py': 'own = "mine"\n' }) })
    const plain = new PythonHandler({ docroot: folder({ 'main.py': 'import colorsys\n' + answering('hasattr(colorsys, "rgb_to_hsv")') }) })
    assert.equal(await ask(hiding), 'mine')
    assert.equal(await ask(plain), true)
  })

  // Both document roots have a package `pkg`, and what is imported late. Threads meet at events that live in `sys`.
  const meeting = `
import sys, threading

class Meeting(dict):
    def __missing__(self, name):
        return self.setdefault(name, threading.Event())

    def at(self, name):
        if not self[name].wait(20):
            raise RuntimeError("nobody came to " + name)

if not hasattr(sys, "python_node_meeting"):
    sys.python_node_meeting = Meeting()
meeting = sys.python_node_meeting
`
  /** Answers with what a function of the module gives, which is called where the query says: in the loop, or in a thread. */
  const calling = `${meeting}
import asyncio, json, pkg

async def app(scope, receive, send):
    function = globals()[scope["path"][1:]]
    in_loop = scope["query_string"] == b"in_loop"
    value = function() if in_loop else await asyncio.get_running_loop().run_in_executor(None, function)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})
`
  const call = async (handler, url) => json(await handler.handleRequest({ url }))
  const several = files => ['one', 'two', 'three'].map(name => new PythonHandler({ docroot: folder({ 'pkg/__init__.py': '', ...files(name) }), lifespan: 'off' }))

  for (const [where, url] of [['in a thread', '/work'], ['in the event loop', '/work?in_loop']]) {
    test(`wait for each other's import of one name, ${where}`, { timeout }, async () => {
      // `one` imports pkg.slow; `two` and `three` want to, while that is half done; then `one` imports another new module.
      const [one, two, three] = several(name => ({
        'main.py': `${calling}
def work():
    ${name !== 'one' ? `meeting.at("${where}: one is importing")\n    meeting["${where}: two begins"].set()` : ''}
    import pkg.slow
    return pkg.slow.value

def ping():
    return "pong"
`,
        'pkg/slow.py': `${meeting}
import time
meeting["${where}: one is importing"].set()
meeting.at("${where}: two begins")
time.sleep(0.3)  # In which two comes as far as it can.
import pkg.late
value = "${name} " + pkg.late.value
`,
        'pkg/late.py': `value = "late ${name}"\n`
      }))
      assert.deepEqual(await Promise.all([call(one, '/work'), call(two, url), call(three, url)]), ['one late one', 'two late two', 'three late three'])
      assert.deepEqual(await Promise.all([call(one, '/ping'), call(two, '/ping')]), ['pong', 'pong'])
    })
  }

  test('do not lose a module that is half imported', { timeout }, async () => {
    const [one, two] = several(name => ({
      'main.py': `${calling}
def half():
    try:
        import pkg.half
    finally:
        meeting["half has ended"].set()
    return pkg.half.value

def other():
    meeting.at("half has begun")
    meeting["other begins"].set()
    import other
    return other.value
`,
      'pkg/half.py': `${meeting}
import time
meeting["half has begun"].set()
meeting.at("other begins")
time.sleep(0.3)  # In which the other import comes as far as it can.
value = "half ${name}"
`,
      'other.py': `${meeting}\nmeeting.at("half has ended")\nvalue = "other ${name}"\n`
    }))
    assert.deepEqual(await Promise.all([call(one, '/half'), call(two, '/other')]), ['half one', 'other two'])
    assert.deepEqual(await Promise.all([call(two, '/half'), call(one, '/other')]), ['half two', 'other one'])
  })

  test('get their own from a library that imports by name', { timeout }, async () => {
    // Each way has a name of its own: what is loaded once is found by other means.
    const ways = {
      'a function of a library': 'pydoc.locate("by_library.value")',
      '__import__ without globals': '__import__("by_dunder", None).value',
      'a module within a package': 'pydoc.locate("pkg.by_library.value")',
      'a callback of the loop': 'await later(importlib.import_module, "by_callback")',
      'a thread in a context': 'await loop.run_in_executor(None, contextvars.copy_context().run, importlib.import_module, "by_thread")'
    }
    const names = ['by_library', 'by_dunder', 'by_callback', 'by_thread', 'pkg/by_library']
    const [one, two] = several(name => ({
      ...Object.fromEntries(names.map(file => [`${file}.py`, `value = "${name}"\n`])),
      'main.py': `
import asyncio, contextvars, importlib, json, pkg, pydoc

async def app(scope, receive, send):
    loop = asyncio.get_running_loop()

    async def later(function, *arguments):
        loop.call_soon(function, *arguments)
        await asyncio.sleep(0)
        return function(*arguments)

    values = [getattr(value, "value", value) for value in [${Object.values(ways).join(', ')}]]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": json.dumps(values).encode()})
`
    }))
    for (let turn = 0; turn < 2; turn++) {
      const seen = await Promise.all([one, two].map(ask))
      assert.deepEqual(seen, ['one', 'two'].map(name => Object.keys(ways).map(() => name)))
    }
  })

  test('each sees its own while the other imports', { timeout }, async () => {
    const [one, two] = several(name => ({
      'main.py': `${calling}
import shared

def slow():
    import slow
    return slow.value

def own():
    meeting.at("slow is being imported")
    import shared, pkg, importlib
    from shared import value
    values = [shared.value, value, importlib.import_module("shared").value]
    meeting["own was seen"].set()
    return values
`,
      'shared.py': `value = "${name}"\n`,
      'slow.py': `${meeting}\nmeeting["slow is being imported"].set()\nmeeting.at("own was seen")\nvalue = "slow ${name}"\n`
    }))
    assert.deepEqual(await Promise.all([call(one, '/own'), call(two, '/slow')]), [['one', 'one', 'one'], 'slow two'])
  })

  test('a module may wait for a thread that imports', { timeout }, async () => {
    const [one, two] = several(name => ({
      'main.py': `${calling}
def work():
    import waiting
    return waiting.values
`,
      'waiting.py': `
import threading
values = []

def work():
    import pkg.part, colorsys
    values.append(pkg.part.value)

thread = threading.Thread(target=work)
thread.start()
thread.join(20)
`,
      'pkg/part.py': `value = "part ${name}"\n`
    }))
    assert.deepEqual(await Promise.all([call(one, '/work'), call(two, '/work?in_loop')]), [['part one'], ['part two']])
  })

  test('an import that waits for one of the other document root does not hang', { timeout }, async () => {
    const [one, two] = several(name => ({
      'main.py': `${calling}
def wait():
    import wait_for_other
    return wait_for_other.value

def other():
    meeting.at("an import waits")
    import pkg.other
    return pkg.other.value
`,
      'wait_for_other.py': `${meeting}
meeting["an import waits"].set()
meeting.at("the other has imported")
import pkg.later
value = "${name} " + pkg.later.value
`,
      'pkg/later.py': `value = "later ${name}"\n`,
      'pkg/other.py': `${meeting}\nmeeting["the other has imported"].set()\nvalue = "other ${name}"\n`
    }))
    assert.deepEqual(await Promise.all([call(one, '/wait'), call(two, '/other')]), ['one later one', 'other two'])
    assert.deepEqual(await Promise.all([call(two, '/wait'), call(one, '/other')]), ['two later two', 'other one'])
  })

  test('the traceback of an import that fails shows the application only', { timeout }, async () => {
    const [, two] = several(name => ({
      'main.py': `${calling}
def work():
    import broken
`,
      'broken.py': `raise ValueError("${name}")\n`
    }))
    const error = await two.handleRequest({ url: '/work' }).then(() => assert.fail('answered'), error => error)
    assert.equal(error.code, 'ERR_PYTHON_EXCEPTION')
    assert.match(error.traceback, /import broken\n[^]*broken\.py", line 1, in <module>/)
    assert.doesNotMatch(error.traceback, /loader\.py|_find_and_load/)
  })
})

describe('while a module is imported', () => {
  test('there is an event loop, and a main thread', { timeout }, async () => {
    const docroot = folder({
      'main.py': `
import asyncio, threading, sys
loop = asyncio.get_event_loop()
main = threading.current_thread() is threading.main_thread()
arguments = sys.argv
${answering('[loop is __import__("asyncio").get_running_loop(), main, arguments]')}`
    })
    assert.deepEqual(await ask(new PythonHandler({ docroot })), [true, true, ['']])
  })

  test('that runs the loop, others wait for their turn', { timeout }, async () => {
    // The loop runs for the one that looks after it.
    await notedSoFar('importing')
    const load = appTarget => PythonHandler.load({ docroot: fixtures, appTarget, lifespan: 'off' })
    const first = load('importing:app')
    await noted('importing')
    const others = ['sending:after_end', 'importing:app', 'nowhere:app'].map(load)
    others[2].catch(() => {})
    await turns()
    await release('importing')
    assert.equal(await ask(await first), 'went on')
    assert.equal((await (await others[0]).handleRequest({ url: '/' })).status, 200)
    assert.equal(await ask(await others[1]), 'went on')
    await assert.rejects(others[2], failure('ERR_PYTHON_IMPORT'))
  })
})

// Scenario: one module closed the loop, and no application of the process answered any more.
test('a module that closes the loop it finds closes it for nobody', { timeout }, async () => {
  const closing = `import asyncio
loop = asyncio.get_event_loop()
loop.run_until_complete(asyncio.sleep(0))
loop.close()
${answering('loop.is_closed()')}`
  const one = new PythonHandler({ docroot: folder({ 'main.py': answering('1') }) })
  const other = new PythonHandler({ docroot: folder({ 'main.py': closing }) })
  assert.deepEqual([await ask(one), await ask(other)], [1, false])
})

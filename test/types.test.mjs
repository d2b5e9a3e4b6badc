// The declarations say what the package does: index.d.ts and http.d.ts have every export and every public
// member that the runtime has, and no other; every error code is declared and in the README; tsc takes
// test/types/ under each kind of module resolution; and every example of the declarations and of the
// README prints what its comments say. What scripts/types.js, which writes them, does not take; that they
// are what it writes is a check of lint.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as main from '@platformatic/python-node'
import * as http from '@platformatic/python-node/http'

const require = createRequire(import.meta.url)
const ts = require('typescript')
const { cross } = require('../lib/crossing.js')
const { readOptions } = require('../lib/options.js')
const { PythonWebSocket } = require('../lib/web-socket.js')
const { generate } = require('../scripts/types.js')

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const NAME = '@platformatic/python-node'
const LIMIT = { timeout: 120_000 }

const read = name => fs.readFileSync(path.join(ROOT, name), 'utf8')

/** Methods between the modules of lib/, which JavaScript cannot hide: static ones, and those of the WebSocket. */
const INTERNAL = {
  Headers: ['fromRaw', 'fromText', 'list'],
  PythonHandler: ['serviceOf'],
  Python: ['serviceOf'],
  PythonHandlerError: ['fromNative'],
  PythonWebSocket: [],
  Request: ['attach', 'isWebSocket', 'parts', 'toWebSocket'],
  Response: ['attach', 'hasFiles', 'onBroken', 'received', 'setClosed', 'setTrailers', 'skipFiles']
}

// --------------------------------------------------------------------------------------- the declarations

const program = ts.createProgram([path.join(ROOT, 'index.d.ts'), path.join(ROOT, 'http.d.ts')], {
  module: ts.ModuleKind.Node16, target: ts.ScriptTarget.ES2022, types: ['node'], noEmit: true
})
const checker = program.getTypeChecker()

/** The values, not the types, that a declaration file exports: name → symbol. */
function declaredValues (name) {
  const file = checker.getSymbolAtLocation(program.getSourceFile(path.join(ROOT, name)))
  const symbols = checker.getExportsOfModule(file).map(symbol => {
    return [symbol.name, symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol]
  })
  return new Map(symbols.filter(([, symbol]) => symbol.flags & ts.SymbolFlags.Value))
}

/** `name` for a method, `get name` and `set name` for accessors, `[Symbol.iterator]` for symbols. */
function declaredMembers (declaration, isStatic) {
  const members = declaration.members.filter(member => {
    return Boolean(ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Static) === isStatic
  })
  return members.flatMap(member => {
    if (ts.isMethodDeclaration(member)) return member.name.getText()
    if (ts.isGetAccessor(member)) return `get ${member.name.getText()}`
    if (ts.isSetAccessor(member)) return `set ${member.name.getText()}`
    return []
  })
}

function runtimeMembers (object) {
  return Reflect.ownKeys(object).flatMap(key => {
    const symbol = Object.getOwnPropertyNames(Symbol).find(name => Symbol[name] === key)
    const name = symbol === undefined ? key : `[Symbol.${symbol}]`
    // A symbol of somebody else's, such as Node's for util.inspect.
    if (typeof name === 'symbol' || name === 'constructor') return []
    const { get, set, value } = Object.getOwnPropertyDescriptor(object, key)
    if (typeof value === 'function') return name
    return [get && `get ${name}`, set && `set ${name}`].filter(Boolean)
  })
}

/** The names in an interface of index.d.ts. */
function declaredFields (name) {
  const { statements } = program.getSourceFile(path.join(ROOT, 'index.d.ts'))
  const declaration = statements.find(node => ts.isInterfaceDeclaration(node) && node.name.text === name)
  return declaration.members.map(member => member.name.getText())
}

/** Which properties of an object a function reads. */
function fieldsRead (object, use) {
  const names = new Set()
  use(new Proxy(object, {
    get (target, name) {
      names.add(name)
      return target[name]
    }
  }))
  return sorted(names)
}

const sorted = names => [...new Set(names)].sort()

describe('the declarations and the runtime have the same', () => {
  for (const [file, exported] of [['index.d.ts', main], ['http.d.ts', http]]) {
    test(`exports: ${file}`, LIMIT, () => {
      const names = Object.keys(exported).filter(name => name !== 'default' && name !== 'module.exports')
      assert.deepEqual(sorted(declaredValues(file).keys()), sorted(names))
    })

    const classes = [...declaredValues(file)].filter(([, symbol]) => symbol.flags & ts.SymbolFlags.Class)
    for (const [name, symbol] of classes) {
      test(`members: ${name}`, LIMIT, () => {
        const [declaration] = symbol.declarations
        assert.deepEqual(sorted(declaredMembers(declaration, false)), sorted(runtimeMembers(exported[name].prototype)))
        const statics = runtimeMembers(exported[name]).filter(member => !INTERNAL[name]?.includes(member))
        assert.deepEqual(sorted(declaredMembers(declaration, true)), sorted(statics))
      })
    }
  }

  test('exports by require and by import', LIMIT, () => {
    const required = require(NAME)
    for (const name of Object.keys(required)) assert.equal(main[name], required[name], name)
    assert.equal(main.default, required)
  })

  test('options of a handler', LIMIT, () => {
    assert.deepEqual(sorted(declaredFields('PythonHandlerOptions')), fieldsRead({}, options => readOptions(options)))
  })

  test('fields of a request', LIMIT, () => {
    const read = fieldsRead({ method: 'POST', url: '/' }, options => cross(new main.Request(options), true))
    assert.deepEqual(sorted(declaredFields('RequestOptions')), read)
  })

  test('members: PythonWebSocket', LIMIT, () => {
    const members = runtimeMembers(PythonWebSocket.prototype).map(member => member.replace(/^[gs]et /, ''))
    const open = members.filter(member => !INTERNAL.PythonWebSocket.includes(member))
    assert.deepEqual(sorted(declaredFields('PythonWebSocket')), sorted(open))
  })

  test('options of a call', LIMIT, t => {
    const folder = makeFolder(t)
    const { stdout, stderr } = runModule(folder, 'options.mjs', `import { PythonHandler } from '${NAME}'
      const names = new Set()
      const options = new Proxy({}, { get (_target, name) { names.add(name) } })
      await new PythonHandler().handleStream({ url: '/hello' }, options)
      console.log([...names].join())`)
    assert.equal(stderr, '')
    // Read to tell an AbortSignal from an object that holds one.
    const read = stdout.trim().split(',').filter(name => name !== 'addEventListener')
    assert.deepEqual(sorted(declaredFields('HandleOptions')), sorted(read))
  })

  test('fields of a response', LIMIT, () => {
    assert.deepEqual(sorted(declaredFields('ResponseOptions')), fieldsRead({}, options => new main.Response(options)))
  })
})

// ---------------------------------------------------------------------------------------- the error codes

describe('every error code of lib/ and src/', () => {
  const codesIn = text => sorted(text.match(/\bERR_PYTHON_[A-Z][A-Z0-9_]*\b/g) ?? [])
  const sources = ['lib', 'src'].flatMap(folder => {
    const names = fs.readdirSync(path.join(ROOT, folder), { recursive: true })
    return names.filter(name => /\.(js|rs)$/.test(name)).map(name => path.join(folder, name))
  })
  // A comment can have a code that nothing throws any more.
  const withoutComments = text => text.replace(/^ *(\/\/|\/\*\*|\*).*/gm, '')
  const codes = codesIn(sources.map(name => withoutComments(read(name))).join('\n'))

  test('is in PythonHandlerErrorCode, and no other is', LIMIT, () => {
    const file = program.getSourceFile(path.join(ROOT, 'index.d.ts'))
    const union = file.statements.find(node => ts.isTypeAliasDeclaration(node) && node.name.text === 'PythonHandlerErrorCode')
    assert.deepEqual(sorted(union.type.types.map(type => type.literal.text)), codes)
  })

  test('has a row in the README, and no other has', LIMIT, () => {
    const rows = read('README.md').split('\n').filter(line => line.startsWith('| `ERR_PYTHON_'))
    assert.deepEqual(sorted(rows.map(row => row.split('`')[1])), codes)
    assert.equal(rows.length, codes.length)
  })

  test('that a doc comment names exists', LIMIT, () => {
    for (const name of ['index.d.ts', 'http.d.ts', 'README.md']) {
      assert.deepEqual(codesIn(read(name)).filter(code => !codes.includes(code)), [], name)
    }
  })
})

// ---------------------------------------------------------------------------------------- how they are written

describe('scripts/types.js', () => {
  const CLASS = '// About.\n\nexport declare class Tea {\n  get hot (): boolean\n  pour (): void\n}\n'
  const OPTIONS = '// About.\n\nexport interface Options {\n  sugar?: number\n  milk?: boolean\n}\n'
  const CODES = "// About.\n\nexport type PythonHandlerErrorCode =\n  // The caller's.\n  | 'ERR_PYTHON_TEA'\n"
  const codes = fault => `/**\n * Codes.\n *\n * @typedef PythonHandlerErrorCode\n * @property ERR_PYTHON_TEA ${fault}: no tea.\n */\n`
  const rust = doc => [
    'pub enum HandlerError {', `    /// ${doc}`, '    #[error(', '        "{0}"', '    )]', '    Tea(String),', '}',
    'Self::Tea(_) => "ERR_PYTHON_TEA",'
  ].join('\n')

  const generated = (skeleton, script, error = '') => {
    const sources = new Map([['lib/tea.js', script], ['src/error.rs', error]])
    const { declarations, problems } = generate(new Map([['index.d.ts', skeleton]]), sources)
    const text = declarations.get('index.d.ts')
    return { text: text.slice(text.indexOf('\n\n') + 2), problems }
  }

  test('puts the comments of a class and its members before their signatures', LIMIT, () => {
    const script = '/** A tea. */\nclass Tea {\n  /** It is. */\n  get hot () {}\n  set hot (hot) {}\n\n' +
      '  /**\n   * Pours.\n   *\n   * @throws {Error} never\n   */\n  // Slowly.\n  pour () {}\n\n  /** Not public. */\n  #fill () {}\n}\n'
    assert.deepEqual(generated(CLASS, script), {
      text: '/** A tea. */\nexport declare class Tea {\n  /** It is. */\n  get hot (): boolean\n' +
        '  /**\n   * Pours.\n   *\n   * @throws {Error} never\n   */\n  pour (): void\n}\n',
      problems: []
    })
  })

  test('takes the members of a type from its properties, and from the keys of the function after it', LIMIT, () => {
    const script = '/**\n * Options.\n *\n * @typedef Options\n * @property milk Whether there\n *   is milk.\n */\n' +
      'function read (options) {\n  return {\n    /** Lumps. */\n    sugar: options.sugar\n  }\n}\n'
    assert.deepEqual(generated(OPTIONS, script), {
      text: '/** Options. */\nexport interface Options {\n  /** Lumps. */\n  sugar?: number\n  /** Whether there is milk. */\n  milk?: boolean\n}\n',
      problems: []
    })
  })

  test('takes the codes from Rust and from JavaScript', LIMIT, () => {
    const text = "/** Codes. */\nexport type PythonHandlerErrorCode =\n  // The caller's.\n  /** No tea. */\n  | 'ERR_PYTHON_TEA'\n"
    assert.deepEqual(generated(CODES, codes("The caller's")), { text, problems: [] })
    const script = '/**\n * Codes.\n *\n * @typedef PythonHandlerErrorCode\n */\n'
    assert.deepEqual(generated(CODES, script, rust("The caller's: no tea.")), { text, problems: [] })
  })

  const refused = [
    ['a class without a doc', CLASS, 'class Tea {}\n', [/^types\/index\.d\.ts:3: `Tea` has no doc/, /`Tea: hot` has no doc/, /`Tea: pour` has no doc/]],
    ['a member without a doc', CLASS, '/** A tea. */\nclass Tea {\n  /** It is. */\n  get hot () {}\n  pour () {}\n}\n', [/^types\/index\.d\.ts:5: `Tea: pour` has no doc/]],
    ['a doc of what is said to have none', CLASS.replace('void', 'void // undocumented'),
      '/** A tea. */\nclass Tea {\n  /** It is. */\n  get hot () {}\n  /** Pours. */\n  pour () {}\n}\n', [/`Tea: pour` has a doc after all: lib\/tea\.js:5$/]],
    ['a member that is not declared', CLASS,
      '/** A tea. */\nclass Tea {\n  /** It is. */\n  get hot () {}\n  /** Pours. */\n  pour () {}\n  /** Drinks. */\n  drink () {}\n}\n',
      [/^lib\/tea\.js:7: `Tea` in types\/ has no `drink`$/]],
    ['an option that is not declared', OPTIONS.replace('  milk?: boolean\n', ''),
      '/**\n * Options.\n *\n * @typedef Options\n * @property sugar Lumps.\n * @property milk Whether.\n */\n', [/^lib\/tea\.js:1: `Options` in types\/ has no `milk`$/]],
    ['a type that is not declared', '// About.\n\n', '/**\n * Options.\n *\n * @typedef Options\n */\n', [/^lib\/tea\.js:1: types\/ has no `Options`/]],
    ['a doc in two places', OPTIONS.replace('  milk?: boolean\n', ''),
      '/**\n * Options.\n *\n * @typedef Options\n * @property sugar Lumps.\n * @property sugar Spoons.\n */\n', [/`Options: sugar` has two docs/]],
    ['a code in the group of another fault', CODES, codes('Ours'), [/`PythonHandlerErrorCode: ERR_PYTHON_TEA` is in the group `The caller's\.`, its doc begins with: Ours: no tea/]]
  ]
  for (const [what, skeleton, script, problems] of refused) {
    test(`refuses ${what}`, LIMIT, () => {
      const found = generated(skeleton, script).problems
      assert.equal(found.length, problems.length, found.join('\n'))
      for (const [index, problem] of problems.entries()) assert.match(found[index], problem)
    })
  }

  test('takes a type that JavaScript keeps to itself', LIMIT, () => {
    const script = '/**\n * @typedef {object} Inner\n * @property {string} name what it is called\n */\n'
    assert.deepEqual(generated('// About.\n\n', script).problems, [])
  })
})

// --------------------------------------------------------------------------------------------------- tsc

describe('tsc takes test/types', () => {
  const folder = path.join(ROOT, 'test', 'types')
  const { config } = ts.readConfigFile(path.join(folder, 'tsconfig.json'), ts.sys.readFile)
  const variants = {
    node16: {},
    nodenext: { module: 'nodenext', moduleResolution: 'nodenext', exactOptionalPropertyTypes: true },
    bundler: { module: 'esnext', moduleResolution: 'bundler', lib: ['es2023', 'esnext.disposable', 'dom', 'dom.iterable'] },
    'bundler, without dom.iterable': { module: 'esnext', moduleResolution: 'bundler', lib: ['es2023', 'esnext.disposable', 'dom'] }
  }
  for (const [name, options] of Object.entries(variants)) {
    test(`with module resolution ${name}`, LIMIT, () => {
      const compilerOptions = { ...config.compilerOptions, ...options }
      const parsed = ts.parseJsonConfigFileContent({ ...config, compilerOptions }, ts.sys, folder)
      assert.ok(parsed.fileNames.length > 2)
      const { options: used } = parsed
      // Bundlers know no `import … = require(…)`.
      const fileNames = parsed.fileNames.filter(file => !name.startsWith('bundler') || !file.endsWith('.cts'))
      const problems = [...parsed.errors, ...ts.getPreEmitDiagnostics(ts.createProgram(fileNames, used))]
      const format = { getCanonicalFileName: file => file, getCurrentDirectory: () => ROOT, getNewLine: () => '\n' }
      assert.equal(ts.formatDiagnostics(problems, format), '')
    })
  }
})

// ---------------------------------------------------------------------------------------------- examples

/** The fenced blocks of a language, with the line they begin at. */
function blocksOf (text, language) {
  const bare = text.replace(/^ *\* ?/gm, '')
  const blocks = bare.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))
  return [...blocks].map(({ 1: code, index }) => ({ code, line: bare.slice(0, index).split('\n').length }))
}

/** What `console.log(…) // text` says it prints. */
const promised = code => [...code.matchAll(/^ *console\.log\(.*\) \/\/ (.*)$/gm)].map(match => match[1])

describe('examples', () => {
  test('of index.d.ts print what they say', LIMIT, t => {
    const folder = makeFolder(t)
    for (const { code, line } of blocksOf(read('index.d.ts'), 'js')) {
      const used = Object.keys(main).filter(name => new RegExp(`\\b${name}\\b`).test(code))
      const missing = used.filter(name => !new RegExp(`^import .*\\b${name}\\b`, 'm').test(code))
      const { stdout, stderr, status } = runModule(folder, `line-${line}.mjs`, `import { ${missing.join(', ')} } from '${NAME}'\n${code}`)
      assert.ok(promised(code).length > 0, `index.d.ts:${line} says nothing of what it prints`)
      assert.deepEqual({ line, status, stderr, printed: stdout.trim().split('\n') },
        { line, status: 0, stderr: '', printed: promised(code) })
    }
  })

  test('of http.d.ts serves', LIMIT, async t => {
    const folder = makeFolder(t)
    const [{ code }] = blocksOf(read('http.d.ts'), 'js')
    const { url } = await serve(t, folder, 'server.cjs', code)
    assert.equal(await (await fetch(`${url}/hello`)).text(), 'Hello')
  })

  test('of the README works as pasted', LIMIT, async t => {
    const readme = read('README.md')
    const [application] = blocksOf(readme, 'python')
    const [{ code }] = blocksOf(readme, 'js')
    const folder = makeFolder(t)
    fs.writeFileSync(path.join(folder, 'main.py'), application.code)
    const { url, printed } = await serve(t, folder, 'server.mjs', code)
    assert.deepEqual(printed, promised(code))
    const response = await fetch(`${url}/hello`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name": "fetch"}'
    })
    assert.deepEqual(await response.json(), { message: 'Hello, fetch!' })
  })
})

/** A folder for one test, with the fixture as its application, where the package can be imported by its name. */
function makeFolder (t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'python-node-types-'))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  fs.copyFileSync(path.join(ROOT, 'test', 'fixtures', 'declarations.py'), path.join(folder, 'main.py'))
  fs.mkdirSync(path.join(folder, 'node_modules', '@platformatic'), { recursive: true })
  fs.symlinkSync(ROOT, path.join(folder, 'node_modules', NAME), 'junction')
  return folder
}

function runModule (folder, file, code) {
  fs.writeFileSync(path.join(folder, file), code)
  return spawnSync(process.execPath, [file], { cwd: folder, encoding: 'utf8', timeout: LIMIT.timeout / 2 })
}

/** Runs an example that listens on port 3000, on a free one. Resolves with what it printed before it listened. */
async function serve (t, folder, file, code) {
  const listen = /\.listen\(3000(, '127\.0\.0\.1')?\)/
  assert.match(code, listen)
  fs.writeFileSync(path.join(folder, file),
    code.replace(listen, '.listen(0, "127.0.0.1", function () { console.log(`port ${this.address().port}`) })'))
  const child = spawn(process.execPath, [file], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => {
    child.kill()
    return child.exitCode ?? child.signalCode ?? once(child, 'exit')
  })
  let text = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    text += chunk
    const port = /^port (\d+)\n/m.exec(text)
    if (port) return { url: `http://127.0.0.1:${port[1]}`, printed: text.slice(0, port.index).split('\n').slice(0, -1) }
  }
  throw new Error(`${file} ended before it listened; it printed: ${text}`)
}

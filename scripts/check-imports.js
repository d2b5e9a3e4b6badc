'use strict'

// The import arrows of src/, part of `npm run lint`:
//
//   js ─► exchange ◄─ asgi ─► python        lib.rs joins them; error.rs is everybody's
//
// Read from the paths in the sources, `crate::…` and `super::super::…`, wherever they stand.

const fs = require('node:fs')
const path = require('node:path')
const { ROOT } = require('./run.js')

// What each part may name, of the crate and of the two runtimes.
const MAY_NAME = {
  error: { parts: [], runtimes: [] },
  target: { parts: [], runtimes: [] },
  // The part of lib.rs that Node-API calls, in a file of its own.
  addon: { parts: ['error', 'exchange', 'js', 'asgi', 'python', 'target'], runtimes: ['napi'] },
  exchange: { parts: ['error'], runtimes: [] },
  js: { parts: ['error', 'exchange'], runtimes: ['napi'] },
  python: { parts: ['error'], runtimes: ['pyo3'] },
  asgi: { parts: ['error', 'exchange', 'python'], runtimes: ['pyo3'] }
}

const RUNTIME = /\b(napi|pyo3)(?:_\w+)?(?=\s*(?:::|\]|\())/g

/** The source without comments and the insides of strings, line for line. */
function stripText (source) {
  const token = /\/\/[^\n]*|\/\*[^]*?\*\/|r(#*)"[^]*?"\1|"(?:\\[^]|[^"\\])*"|'(?:\\.[^']*|[^'\\])'/g
  return source.replace(token, (text) => text.replace(/[^\n]/g, ' '))
}

/** `{a::b, c}` → ['a', 'c']; `a::b` → ['a']: the first names of what a path leads to. */
function firstNames (rest) {
  if (!rest.startsWith('{')) return [/^(?:r#)?(\w+)/.exec(rest)?.[1] ?? '*']
  const names = []
  let depth = 0
  let name = ''
  for (const letter of rest) {
    if (letter === '}') depth--
    if (depth === 0 || (depth === 1 && letter === ',')) {
      if (name.trim() !== '') names.push(/^\w+/.exec(name.trim())?.[0] ?? '*')
      name = ''
      if (depth === 0 && letter === '}') break
    } else if (letter !== '}') {
      name += letter
    }
    if (letter === '{') {
      depth++
      if (depth === 1) name = ''
    }
  }
  return names
}

/** How many `super::` lead from a file to the crate's root. */
function depthOf (file) {
  const names = file.replace(/\.rs$/, '').split('/')
  return names.at(-1) === 'mod' ? names.length - 1 : names.length
}

/**
 * @param {string} file Below src/, with `/`.
 * @param {string} source
 * @returns {string[]} What is wrong in it.
 */
function checkFile (file, source) {
  const part = file.replace(/\.rs$/, '').split('/')[0]
  if (part === 'lib') return []
  const allowed = MAY_NAME[part]
  if (allowed === undefined) return [`src/${file}: \`${part}\` has no place in the arrows of scripts/check-imports.js`]

  const text = stripText(source)
  const problems = []
  const complain = (index, what) => {
    problems.push(`src/${file}:${text.slice(0, index).split('\n').length}: ${what}`)
  }
  for (const match of text.matchAll(/\b(crate|super(?:\s*::\s*super)*)\s*::\s*(?=[\w{*])/g)) {
    const [head, root] = match
    const isCrate = root === 'crate'
    if (!isCrate && root.match(/super/g).length < depthOf(file)) continue
    for (const name of firstNames(text.slice(match.index + head.length))) {
      if (name === part || name === 'self' || allowed.parts.includes(name)) continue
      // Inside `mod tests { … }` there is a step more to go: only the parts are known for sure.
      if (!isCrate && MAY_NAME[name] === undefined) continue
      complain(match.index, `\`${part}\` may not name \`crate::${name}\``)
    }
  }
  for (const match of text.matchAll(RUNTIME)) {
    if (!allowed.runtimes.includes(match[1])) complain(match.index, `\`${part}\` may not name \`${match[1]}\``)
  }
  return problems
}

// Each sample has to be refused, or has not: a check that finds nothing must not pass for one that works.
const SAMPLES = [
  ['exchange/inbound.rs', 'use crate::error::HandlerError;', 0],
  ['exchange/inbound.rs', 'use super::event::{Event, Signal};', 0],
  ['exchange/inbound.rs', '// as crate::asgi does with pyo3::Py\nconst A: &str = "crate::js::x";', 0],
  ['exchange/inbound.rs', 'use crate::asgi::http::Scope;', 1],
  ['exchange/inbound.rs', 'use crate::{error::HandlerError, js::{request, response}};', 1],
  ['exchange/inbound.rs', 'fn f() { crate :: python::start() }', 1],
  ['exchange/inbound.rs', 'use super::super::python::task;', 1],
  ['exchange/mod.rs', 'use super::asgi;', 1],
  ['exchange/inbound.rs', 'use pyo3::prelude::*;', 1],
  ['exchange/inbound.rs', '#[napi]\npub struct A;', 1],
  ['exchange/inbound.rs', 'use napi_derive::napi;', 1],
  ['js/request.rs', 'use crate::exchange::Exchange;\nuse napi::bindgen_prelude::*;', 0],
  ['js/request.rs', 'use crate::asgi;\nuse crate::python;\nuse pyo3::Python;', 3],
  ['asgi/http.rs', 'use crate::{error::*, exchange::{RequestHead, Event}, python};', 0],
  ['asgi/http.rs', 'use crate::js::request;', 1],
  ['python/task.rs', 'use crate::asgi::Application;', 1],
  ['python/task.rs', 'use crate::PythonHandler;', 1],
  ['python/task.rs', 'use crate::*;', 1],
  ['error.rs', 'use crate::exchange::Event;', 1],
  ['helper.rs', '', 1],
  ['lib.rs', 'use crate::{js, asgi};', 0]
]

function selfTest () {
  for (const [file, source, expected] of SAMPLES) {
    const found = checkFile(file, source)
    if (found.length !== expected) {
      throw new Error(`check-imports is broken: ${expected} expected in ${file}: ${source}\n${found.join('\n')}`)
    }
  }
}

/** @returns {string[]} What is wrong in src/. */
function checkImports () {
  selfTest()
  const folder = path.join(ROOT, 'src')
  const names = fs.readdirSync(folder, { recursive: true }).map((name) => name.replaceAll(path.sep, '/'))
  return names.filter((name) => name.endsWith('.rs')).sort()
    .flatMap((name) => checkFile(name, fs.readFileSync(path.join(folder, name), 'utf8')))
}

module.exports = { checkImports }

if (require.main === module) {
  const problems = checkImports()
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}

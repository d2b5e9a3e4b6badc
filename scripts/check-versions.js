'use strict'

// Do all packages have one version, and does the package name exactly those in npm/? Part of
// `npm run lint`, and the first step of a release: `node scripts/check-versions.js v3.0.0` checks a tag too.

const fs = require('node:fs')
const path = require('node:path')
const { ROOT } = require('./run.js')

function readJson (...names) {
  return JSON.parse(fs.readFileSync(path.join(ROOT, ...names), 'utf8'))
}

/** The `os`, `cpu` and `libc` that a platform's name stands for. */
function platformFields (platform) {
  const [os, cpu, abi] = platform.split('-')
  const libc = { gnu: ['glibc'], musl: ['musl'] }[abi]
  return { os: [os], cpu: [cpu], libc }
}

/**
 * @param {string} [tag] A git tag that has to name the version.
 * @returns {string[]} What is wrong.
 */
function checkVersions (tag) {
  const problems = []
  const expect = (what, actual, expected) => {
    const [found, wanted] = [actual, expected].map((value) => JSON.stringify(value))
    if (found !== wanted) problems.push(`${what}: ${found}, expected ${wanted}`)
  }

  const root = readJson('package.json')
  const platforms = fs.readdirSync(path.join(ROOT, 'npm')).sort()
  const wanted = Object.fromEntries(platforms.map((platform) => [`${root.name}-${platform}`, root.version]))
  expect('package.json: optionalDependencies', root.optionalDependencies, wanted)
  if (tag !== undefined) expect('the tag', tag, `v${root.version}`)

  for (const platform of platforms) {
    const file = `npm/${platform}/package.json`
    const binary = `python-node.${platform}.node`
    const manifest = readJson(file)
    expect(`${file}: name`, manifest.name, `${root.name}-${platform}`)
    expect(`${file}: main`, manifest.main, binary)
    expect(`${file}: files`, manifest.files, [binary])
    for (const field of ['version', 'license', 'engines']) expect(`${file}: ${field}`, manifest[field], root[field])
    for (const [field, value] of Object.entries(platformFields(platform))) expect(`${file}: ${field}`, manifest[field], value)
  }

  const [, crate] = /^version = "(.*)"$/m.exec(fs.readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8')) ?? []
  expect('Cargo.toml: version', crate, root.version)

  const lock = readJson('package-lock.json')
  expect('package-lock.json: version', lock.version, root.version)
  for (const field of ['dependencies', 'devDependencies', 'optionalDependencies']) {
    expect(`package-lock.json: ${field}`, lock.packages[''][field], root[field])
  }
  const fromHost = Object.entries(lock.packages).filter(([, entry]) => /^https?:/.test(entry.resolved ?? ''))
  for (const [name] of fromHost) problems.push(`package-lock.json: ${name} names a host (see .npmrc)`)

  const changelog = fs.readFileSync(path.join(ROOT, 'CHANGELOG.md'), 'utf8')
  if (!changelog.includes(`\n## ${root.version}`)) problems.push(`CHANGELOG.md: nothing about ${root.version}`)
  return problems
}

module.exports = { checkVersions }

if (require.main === module) {
  const problems = checkVersions(process.argv[2])
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}

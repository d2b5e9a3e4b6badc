'use strict'

// Rows as text: one table a set of participants, so that each has its own columns.

const { TITLES, verdict } = require('./report')

/** Short titles: the terminal is narrow, and a line above the table tells them in full. */
const COLUMNS = {
  addon: 'addon',
  published: 'published',
  uvicorn: 'uvicorn',
  granian: 'granian',
  floor: 'floor',
  node: 'node:http',
  'uvicorn-alone': 'uvicorn',
  'granian-alone': 'granian',
  'proxy-uvicorn': '→ uvicorn',
  'proxy-granian': '→ granian'
}

/** The participants whose ratio gets a column, in that order, and the name of that column. */
const RATIOS = {
  floor: '× floor',
  uvicorn: '× uvicorn',
  'proxy-uvicorn': '× → uvicorn',
  'uvicorn-alone': '× uvicorn'
}

/**
 * One table for the requests made in the peers' processes, one for HTTP.
 * @param {object[]} rows of report.js
 * @returns {string}
 */
function renderTables (rows) {
  const overHttp = (row) => 'node' in row.rounds
  return [rows.filter((row) => !overHttp(row)), rows.filter(overHttp)]
    .filter((group) => group.length > 0)
    .map(renderTable)
    .join('\n\n')
}

function renderTable (rows) {
  const takesPart = (name) => rows.some((row) => name in row.rounds)
  const names = Object.keys(COLUMNS).filter(takesPart)
  const ratios = Object.keys(RATIOS).filter(takesPart)
  const header = [
    '', ...names.map((name) => COLUMNS[name]), ...ratios.map((name) => RATIOS[name]), 'expected', ''
  ]
  const lines = rows.map((row) => [
    `  ${[row.name, row.unit].filter(Boolean).join(', ')}`,
    ...names.map((name) => cell(row, name)),
    ...ratios.map((name) => name in row.ratios ? formatNumber(row.ratios[name]) : '–'),
    row.bounds.map(({ text }) => text).join(', '),
    verdict(row)
  ])
  const isRight = (column) => column >= 1 && column <= names.length + ratios.length
  const [first, ...others] = align([header, ...lines], isRight)
  const legend = names.filter((name) => TITLES[name] !== COLUMNS[name])
    .map((name) => `${COLUMNS[name]}: ${TITLES[name]}`).join('; ')
  const body = others.flatMap((line, index) => {
    return rows[index].title === rows[index - 1]?.title ? [line] : [rows[index].title, line]
  })
  const width = Math.max(...others.map((line) => line.length))
  return [legend, '', first, '─'.repeat(width), ...body].join('\n')
}

function cell (row, name) {
  if (name in row.values) return formatNumber(row.values[name])
  return row.errors[name] ? 'failed' : '–'
}

/** @returns {string[]} lines with columns of equal width */
function align (lines, isRight) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  const pad = (value, column) => isRight(column)
    ? value.padStart(widths[column])
    : value.padEnd(widths[column])
  return lines.map((line) => line.map(pad).join('  ').trimEnd())
}

/** @returns {string} three significant digits, never an exponent */
function formatNumber (value) {
  if (Number.isNaN(value)) return '–'
  const size = Math.abs(value)
  if (size >= 100) return Math.round(value).toLocaleString('en')
  if (size >= 10) return value.toFixed(1)
  return size >= 1 || size === 0 ? value.toFixed(2) : value.toFixed(3)
}

module.exports = { formatNumber, renderTables }

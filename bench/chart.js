'use strict'

// Rows as an SVG: for each figure, how many times better than undici → uvicorn (or than the proxy,
// for HTTP) each participant is, on a logarithmic axis, with the expected bound as a tick.

const { formatNumber } = require('./table')
const { TITLES, verdict } = require('./report')

const COLOURS = {
  addon: '#d6336c',
  published: '#868e96',
  uvicorn: '#1971c2',
  granian: '#e8590c',
  floor: '#2f9e44',
  node: '#2f9e44',
  'uvicorn-alone': '#74c0fc',
  'granian-alone': '#ffc078',
  'proxy-uvicorn': '#1971c2',
  'proxy-granian': '#e8590c'
}
const LABEL_WIDTH = 380
const PLOT_WIDTH = 560
const VALUE_WIDTH = 300
const ROW_HEIGHT = 26
const TOP = 96
const WIDTH = LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH
/** The axis: from a hundredth to a hundred times; what lies outside is drawn at its end. */
const DECADES = 2

/**
 * @param {object[]} rows of report.js
 * @param {object} machine of environment.js
 * @returns {string} SVG
 */
function renderChart (rows, machine) {
  const drawn = rows.filter((row) => row.comparable && reference(row) !== undefined)
  const bottom = TOP + drawn.length * ROW_HEIGHT
  const legend = [...new Set(drawn.flatMap((row) => Object.keys(row.values)))]
  const height = bottom + 60 + Math.ceil(legend.length / 5) * 22
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
      `viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(20, 30, 'Times better than undici → uvicorn (HTTP: than a Node proxy to uvicorn)', 'font-size="18" font-weight="600"'),
    text(20, 52, subtitle(machine), 'fill="#495057"'),
    ...axis(bottom),
    ...drawn.flatMap((row, index) => drawRow(row, TOP + (index + 0.5) * ROW_HEIGHT)),
    ...drawLegend(legend, bottom + 44),
    '</svg>',
    ''
  ].join('\n')
}

function subtitle ({ date, node, python, cpus, cpu, versions }) {
  return `Node ${node}, Python ${python}, uvicorn ${versions.uvicorn}, granian ${versions.granian}, ` +
    `undici ${versions.undici}; ${cpus} × ${cpu}; ${date.slice(0, 10)}`
}

function reference (row) {
  const value = row.values.uvicorn ?? row.values['proxy-uvicorn']
  return value > 0 ? value : undefined
}

/** How many times better than the reference; above 1 is better whichever way the figure goes. */
function gain (row, value) {
  const quotient = value / reference(row)
  return row.better === 'higher' ? quotient : 1 / quotient
}

function position (times) {
  const decade = Math.max(-DECADES, Math.min(DECADES, Math.log10(times)))
  return LABEL_WIDTH + PLOT_WIDTH * (decade + DECADES) / (2 * DECADES)
}

function axis (bottom) {
  const marks = [0.01, 0.1, 0.25, 0.5, 1, 2, 5, 10, 100]
  return marks.flatMap((times) => {
    const x = position(times).toFixed(1)
    const line = times === 1 ? 'stroke="#868e96" stroke-width="1.5"' : 'stroke="#e9ecef"'
    return [
      `<line x1="${x}" y1="${TOP}" x2="${x}" y2="${bottom}" ${line}/>`,
      text(x, TOP - 8, `${times} ×`, 'text-anchor="middle" fill="#868e96" font-size="11"')
    ]
  })
}

function drawRow (row, y) {
  const marks = Object.entries(row.values)
    // The addon last: it lies above what it coincides with.
    .sort(([a], [b]) => (a === 'addon') - (b === 'addon'))
    .map(([name, value]) => {
      const label = `${TITLES[name]}: ${formatNumber(value)} ${row.unit}`
      const radius = name === 'addon' ? 7 : 5
      return `<circle cx="${position(gain(row, value)).toFixed(1)}" cy="${y}" r="${radius}" ` +
        `fill="${COLOURS[name]}" fill-opacity="0.85"><title>${escape(label)}</title></circle>`
    })
  const bounds = boundPositions(row).map((times) => {
    const x = position(times).toFixed(1)
    return `<line x1="${x}" y1="${y - 10}" x2="${x}" y2="${y + 10}" stroke="#212529" stroke-width="2"/>`
  })
  const figure = row.values.addon ?? reference(row)
  const owner = row.values.addon === undefined ? ' (uvicorn)' : ''
  const note = `${formatNumber(figure)} ${row.unit}${owner} ${verdict(row)}`
  return [
    text(20, y + 4, [row.title, row.name].filter(Boolean).join(': ')),
    ...bounds,
    ...marks,
    text(LABEL_WIDTH + PLOT_WIDTH + 16, y + 4, note, 'fill="#495057"')
  ]
}

/** Where a bound lies on the row's axis. */
function boundPositions (row) {
  return row.bounds.flatMap(({ atLeast, atMost, against }) => {
    const limit = atLeast ?? atMost
    if (against === undefined) return [gain(row, limit)]
    return row.values[against] === undefined ? [] : [gain(row, limit * row.values[against])]
  })
}

function drawLegend (names, y) {
  const items = names.flatMap((name, index) => {
    const x = 20 + (index % 5) * 220
    const line = y + Math.floor(index / 5) * 22
    return [
      `<circle cx="${x + 6}" cy="${line - 4}" r="6" fill="${COLOURS[name]}"/>`,
      text(x + 20, line, TITLES[name])
    ]
  })
  const x = WIDTH - 130
  return [
    ...items,
    `<line x1="${x}" y1="${y - 14}" x2="${x}" y2="${y + 4}" stroke="#212529" stroke-width="2"/>`,
    text(x + 12, y, 'expected')
  ]
}

function text (x, y, content, attributes = '') {
  return `<text x="${x}" y="${y}" ${attributes}>${escape(content)}</text>`
}

function escape (content) {
  return String(content).replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}

module.exports = { renderChart }

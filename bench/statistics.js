'use strict'

/**
 * @param {ArrayLike<number>} values in any order
 * @returns {number} NaN without values
 */
function median (values) {
  const sorted = Float64Array.from(values).sort()
  if (sorted.length === 0) return NaN
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * @param {ArrayLike<number>} sorted ascending
 * @param {number} fraction between 0 and 1
 * @returns {number}
 */
function percentile (sorted, fraction) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))]
}

module.exports = { median, percentile }

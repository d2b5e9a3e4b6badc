'use strict'

// CPU time and memory of other processes: a server and the workers it started.

const { execFileSync } = require('node:child_process')
const { readFileSync, readdirSync } = require('node:fs')

// USER_HZ: the unit of the times in /proc/<pid>/stat on every Linux that Node runs on.
const TICKS_PER_SECOND = 100

/**
 * Sums CPU time and resident memory of a process and all its descendants.
 * Linux counts in steps of 10 ms; elsewhere `ps` decides, often whole seconds.
 * @param {number} pid
 * @returns {{ cpu: number, resident: number }} microseconds, bytes
 */
function processUsage (pid) {
  const processes = process.platform === 'linux' ? readProc() : readPs()
  const wanted = new Set([pid])
  const total = { cpu: 0, resident: 0 }
  for (let size = 0; size !== wanted.size;) {
    size = wanted.size
    for (const entry of processes) {
      if (wanted.has(entry.parent)) wanted.add(entry.pid)
    }
  }
  for (const entry of processes) {
    if (!wanted.has(entry.pid)) continue
    total.cpu += entry.cpu
    total.resident += entry.resident
  }
  return total
}

function readProc () {
  const processes = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      // The command, in parentheses, may hold spaces: the numbered fields start behind it.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const status = readFileSync(`/proc/${name}/status`, 'utf8')
      processes.push({
        pid: Number(name),
        parent: Number(fields[1]),
        cpu: (Number(fields[11]) + Number(fields[12])) * 1e6 / TICKS_PER_SECOND,
        resident: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024
      })
    } catch (error) {
      // A process that ended between the listing and the reading.
      if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error
    }
  }
  return processes
}

function readPs () {
  const lines = execFileSync('ps', ['-axo', 'pid=,ppid=,time=,rss='], { encoding: 'utf8' })
  return lines.trim().split('\n').map((line) => {
    const [pid, parent, time, resident] = line.trim().split(/\s+/)
    const seconds = time.split(/[-:]/).reduce((sum, part) => sum * 60 + Number(part), 0)
    return {
      pid: Number(pid),
      parent: Number(parent),
      cpu: seconds * 1e6,
      resident: Number(resident) * 1024
    }
  })
}

/**
 * CPU time and resident memory of this process and of a server it started.
 * @param {number} [pid] the server
 * @returns {{ cpu: number, resident: number }} microseconds, bytes
 */
function combinedUsage (pid) {
  const { user, system } = process.cpuUsage()
  const server = pid === undefined ? { cpu: 0, resident: 0 } : processUsage(pid)
  return { cpu: user + system + server.cpu, resident: process.memoryUsage.rss() + server.resident }
}

module.exports = { combinedUsage, processUsage }

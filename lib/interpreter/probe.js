'use strict'

// Asks an interpreter what it is: runs it once and reads one line of JSON. `probe` is a generator
// that yields the runs it wants and is sent their outcomes, so that it knows nothing of blocking or
// not; `../interpreter.js` does the running.

const { PythonHandlerError } = require('../errors')

const OLDEST = [3, 8]
const STDERR_SHOWN = 2000

// Runs on Python 2.7 too, so that the version error can name the version. Cheap on purpose
// (measured on 3.13 and Debian's 3.11, 2 cores): no `json` (7 ms), no `site` (3 ms, and `.pth` files
// that print or exit), no `sysconfig` (4 ms without site) but the table it reads (0.5 ms), and not
// even that where the interpreter has libpython mapped, which names the file beyond doubt.
const SCRIPT = `
import sys

def text(value):
    out = []
    for character in value:
        code = ord(character)
        if code > 0xffff:
            code -= 0x10000
            out.append('\\\\u%04x\\\\u%04x' % (0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff)))
        elif 0x1f < code < 0x7f and character not in '"\\\\':
            out.append(character)
        else:
            out.append('\\\\u%04x' % code)
    return '"' + ''.join(out) + '"'

def dump(value):
    if value is None:
        return 'null'
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return '{' + ','.join([text(key) + ':' + dump(value[key]) for key in sorted(value)]) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ','.join([dump(item) for item in value]) + ']'
    return text(str(value))

def mapped():
    try:
        with open('/proc/self/maps', encoding='utf-8', errors='surrogateescape') as lines:
            for line in lines:
                name = line.rstrip('\\n').rpartition('/')[2]
                if name.startswith('libpython') and '.so' in name and name != 'libpython3.so':
                    return line[line.index('/'):].rstrip('\\n')
    except Exception:
        pass

def config():
    if sys.platform == 'win32':
        return {}
    try:
        table = __import__('_sysconfigdata_%s_%s_%s' % (
            sys.abiflags, sys.platform, getattr(sys.implementation, '_multiarch', ''))).build_time_vars
    except Exception:
        import sysconfig
        table = sysconfig.get_config_vars()
    names = ('LIBDIR', 'LIBPL', 'INSTSONAME', 'LDLIBRARY', 'MULTIARCH', 'PYTHONFRAMEWORK', 'PYTHONFRAMEWORKPREFIX')
    return dict([(name, str(table.get(name) or '')) for name in names])

abiflags = getattr(sys, 'abiflags', '')
facts = {
    'implementation': getattr(getattr(sys, 'implementation', None), 'name', sys.version_info < (3,) and 'cpython'),
    'version': sys.version_info[:3],
    'executable': sys.executable,
    'prefix': sys.prefix,
    'basePrefix': getattr(sys, 'base_prefix', sys.prefix),
    'baseExecPrefix': getattr(sys, 'base_exec_prefix', sys.exec_prefix),
    'abiflags': abiflags,
    'freeThreaded': 't' in abiflags or 'free-threading' in sys.version,
    'mapped': mapped(),
}
if not facts['mapped'] and sys.version_info >= (${OLDEST.join(', ')}):
    facts['config'] = config()
sys.stdout.write(dump(facts) + '\\n')
`

// -I: no PYTHON* variables, no user site, no current folder; unknown to Python 2, hence the second.
const FLAGS = ['-I', '-S']
const FLAGS_OF_PYTHON_2 = ['-E', '-s', '-S']

/**
 * @typedef {object} Outcome
 * @property {string} stdout
 * @property {string} stderr
 * @property {number | null} status
 * @property {string | null} signal
 * @property {boolean} timedOut
 * @property {Error} [error] it could not be started
 */

/**
 * What the candidate says about itself, when it is an interpreter the bridge can use.
 *
 * @param {import('./search').Candidate} candidate
 * @param {number} timeout in milliseconds; only for the message
 * @returns {Generator<string[], object, Outcome>}
 */
function * probe (candidate, timeout) {
  let outcome = yield [...FLAGS, '-c', SCRIPT]
  if (outcome.status === 2 && outcome.stderr.includes('Unknown option: -I')) {
    outcome = yield [...FLAGS_OF_PYTHON_2, '-c', SCRIPT]
  }
  const facts = read(outcome, candidate, timeout)
  refuseUnusable(facts, candidate)
  return facts
}

function read (outcome, { file, label }, timeout) {
  const failed = (what, cause) => new PythonHandlerError('ERR_PYTHON_INTERPRETER_FAILED',
    `the Python interpreter \`${file}\` (from ${label}) ${what}${stderrOf(outcome)}`, { cause })

  if (outcome.timedOut) throw failed(`gave no answer within ${timeout} ms`)
  if (outcome.error) throw failed(`cannot be run: ${outcome.error.code}`, outcome.error)
  if (outcome.signal) throw failed(`was ended by ${outcome.signal}`)
  if (outcome.status !== 0) throw failed(`ended with exit code ${outcome.status}`)

  const line = outcome.stdout.trim().split('\n').pop()
  let facts
  try {
    facts = JSON.parse(line)
  } catch (cause) {
    throw failed(`did not answer as Python does: ${JSON.stringify(line.slice(0, 200))}`, cause)
  }
  if (!(facts?.version?.length === 3 && typeof facts.basePrefix === 'string')) {
    throw failed(`did not answer as Python does: ${JSON.stringify(line.slice(0, 200))}`)
  }
  return facts
}

function stderrOf ({ stderr }) {
  const text = stderr.trim()
  return text && `; it wrote: ${text.slice(-STDERR_SHOWN)}`
}

function refuseUnusable ({ implementation, version, freeThreaded }, { file, label }) {
  const name = version.join('.')
  const [major, minor] = version
  if (implementation !== 'cpython') {
    throw new PythonHandlerError('ERR_PYTHON_VERSION_UNSUPPORTED',
      `\`${file}\` (from ${label}) is \`${implementation}\` ${name}: CPython ${OLDEST.join('.')} or later is needed`)
  }
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw new PythonHandlerError('ERR_PYTHON_VERSION_UNSUPPORTED',
      `\`${file}\` (from ${label}) is Python ${name}: ${OLDEST.join('.')} or later is needed`)
  }
  if (freeThreaded) {
    throw new PythonHandlerError('ERR_PYTHON_FREE_THREADED',
      `\`${file}\` (from ${label}) is a free-threaded build of Python ${name}: one with the GIL is needed`)
  }
}

module.exports = { probe }

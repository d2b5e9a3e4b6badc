// As api.ts, from an ES module: names, the namespace, and what Node makes the default export of CommonJS.

import packageItself, { PythonHandler, Request } from '@platformatic/python-node'
import * as namespace from '@platformatic/python-node'
import type { PythonHandlerErrorCode } from '@platformatic/python-node'
import { createRequestListener } from '@platformatic/python-node/http'

const handler: PythonHandler = await PythonHandler.load({ docroot: import.meta.dirname })
await handler.handleRequest(new Request({ url: '/' }))
createRequestListener(handler, {})

const code: PythonHandlerErrorCode = 'ERR_PYTHON_TARGET'
new packageItself.PythonHandlerError(code, 'no such application')
new namespace.Headers()

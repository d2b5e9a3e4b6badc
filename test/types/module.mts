// As api.ts, from an ES module.

import { PythonHandler, Request } from '@platformatic/python-node'
import { createRequestListener } from '@platformatic/python-node/http'

const handler: PythonHandler = await PythonHandler.load({ docroot: import.meta.dirname })
await handler.handleRequest(new Request({ url: '/' }))
createRequestListener(handler, {})

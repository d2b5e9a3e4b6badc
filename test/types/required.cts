// As api.ts, from a CommonJS module with TypeScript's own `import … = require(…)`.

import pythonNode = require('@platformatic/python-node')
import pythonNodeHttp = require('@platformatic/python-node/http')

const handler: pythonNode.PythonHandler = new pythonNode.Python()
pythonNodeHttp.createRequestListener(handler)

'use strict'

module.exports = { ...require('./requests'), ...require('./transfers'), ...require('./sockets'), ...require('./costs') }

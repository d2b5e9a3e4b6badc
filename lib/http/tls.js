'use strict'

/**
 * What the `tls` extension says of a connection (specs/tls.rst), read from Node's `TLSSocket`. Once for a connection.
 */

const VERSIONS = { TLSv1: 0x0301, 'TLSv1.1': 0x0302, 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 }

/** The numbers of the suites that Node negotiates by default, and of their CBC forerunners (IANA, TLS parameters). */
const SUITES = {
  TLS_AES_128_GCM_SHA256: 0x1301,
  TLS_AES_256_GCM_SHA384: 0x1302,
  TLS_CHACHA20_POLY1305_SHA256: 0x1303,
  TLS_AES_128_CCM_SHA256: 0x1304,
  TLS_AES_128_CCM_8_SHA256: 0x1305,
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 0xc02b,
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 0xc02c,
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 0xc02f,
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 0xc030,
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 0xcca8,
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 0xcca9,
  TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 0xccaa,
  TLS_DHE_RSA_WITH_AES_128_GCM_SHA256: 0x009e,
  TLS_DHE_RSA_WITH_AES_256_GCM_SHA384: 0x009f,
  TLS_RSA_WITH_AES_128_GCM_SHA256: 0x009c,
  TLS_RSA_WITH_AES_256_GCM_SHA384: 0x009d,
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: 0xc023,
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384: 0xc024,
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: 0xc027,
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384: 0xc028,
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 0xc009,
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 0xc00a,
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 0xc013,
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 0xc014,
  TLS_RSA_WITH_AES_128_CBC_SHA: 0x002f,
  TLS_RSA_WITH_AES_256_CBC_SHA: 0x0035,
  TLS_RSA_WITH_AES_128_CBC_SHA256: 0x003c,
  TLS_RSA_WITH_AES_256_CBC_SHA256: 0x003d
}

/** Longer chains are not followed: a root names itself as its issuer. */
const LONGEST_CHAIN = 16

/**
 * @param {import('node:tls').TLSSocket} socket
 * @returns {object} the value of `scope["extensions"]["tls"]`
 */
function tlsFacts (socket) {
  const chain = clientChain(socket)
  const version = VERSIONS[socket.getProtocol()] ?? null
  return {
    server_cert: toPem(socket.getX509Certificate?.()),
    client_cert_chain: chain.map(toPem),
    client_cert_name: chain.length === 0 ? null : distinguishedName(chain[0].subject),
    client_cert_error: chain.length === 0 || socket.authorized ? null : String(socket.authorizationError ?? 'unverified'),
    tls_version: version,
    cipher_suite: SUITES[socket.getCipher()?.standardName] ?? null
  }
}

/** @returns {import('node:crypto').X509Certificate[]} the client's own first */
function clientChain (socket) {
  const chain = []
  let certificate = socket.getPeerX509Certificate?.()
  while (certificate !== undefined && chain.length < LONGEST_CHAIN) {
    if (chain.some(earlier => earlier.fingerprint256 === certificate.fingerprint256)) break
    chain.push(certificate)
    certificate = certificate.issuerCertificate
  }
  return chain
}

function toPem (certificate) {
  return certificate === undefined ? null : certificate.toString()
}

/** Node's lines, most general first and escaped as RFC 2253 has it, as one RFC 4514 string: most specific first. */
function distinguishedName (subject) {
  return (subject ?? '').split('\n').reverse().join(',').replaceAll(' + ', '+')
}

module.exports = { tlsFacts }

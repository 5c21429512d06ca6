import { hkdfSync } from 'node:crypto'

/**
 * `length` bytes out of a master secret for one purpose, which no other purpose can be computed from. Of the
 * text as it stands: HKDF (RFC 5869) extracts the same strength from hexadecimal, base64 or plain text.
 */
export const deriveKey = (master: string, purpose: string, length = 32): Buffer =>
  Buffer.from(hkdfSync('sha256', master, '', `netpilot ${purpose}`, length))

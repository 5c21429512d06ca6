import { hkdfSync } from 'node:crypto'

/**
 * Derives `length` bytes from a master secret for one purpose. The key of one purpose does not reveal that of
 * another. The master secret is used as text: HKDF (RFC 5869) extracts the same strength from hexadecimal,
 * base64 or plain text.
 */
export const deriveKey = (master: string, purpose: string, length = 32): Buffer =>
  Buffer.from(hkdfSync('sha256', master, '', `netpilot ${purpose}`, length))

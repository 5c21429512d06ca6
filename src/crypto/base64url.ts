/**
 * The bytes of unpadded base64url (RFC 4648, section 5), or undefined when `text` is not the one canonical
 * text of those bytes.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  // Node's decoder skips what it does not know and ignores spare bits, so that many texts give the same
  // bytes.
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

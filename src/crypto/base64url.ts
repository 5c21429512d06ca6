/**
 * Decodes unpadded base64url (RFC 4648, section 5). @returns undefined when `text` is not the canonical text
 * of its bytes
 */
export function decodeBase64url(text: string): Buffer | undefined {
  // Node's decoder skips unknown characters and ignores spare bits, so many texts would decode to the same
  // bytes.
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

const MIN_BYTES = 32

/**
 * The number of bytes in a text under the reading that gives the fewest: hexadecimal, then base64, then plain
 * text.
 */
function fewestBytes(secret: string): number {
  if (/^[0-9a-f]*$/i.test(secret)) return secret.length / 2
  if (/^[\w+/-]*={0,2}$/.test(secret)) return (secret.replaceAll('=', '').length * 3) / 4
  return Buffer.byteLength(secret)
}

/**
 * Refuses a secret that is too short for 32 random bytes: under 64 hexadecimal digits, 43 characters of
 * base64 or 32 bytes of other text. Only the length can be checked: this excludes words and half-length keys,
 * not a long guessable text.
 * @throws Error naming the setting and the remedy, never the value
 */
export function requireStrongSecret(name: string, secret: string): void {
  if (fewestBytes(secret) < MIN_BYTES) {
    throw new Error(
      `${name} is too short: it must hold at least 32 random bytes. Make one with: openssl rand -base64 32`,
    )
  }
}

/**
 * Encodes bytes as digits and letters only, so that a double click selects a whole key. The text is a
 * big-endian number in base 62, padded with zeros to a fixed width (4 bytes: 6, 16 bytes: 22, 32 bytes: 43
 * characters). Each value has exactly one text, and each text one value.
 */
import { randomInt } from 'node:crypto'

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const BASE = BigInt(DIGITS.length)

const widthOf = (byteLength: number) => Math.ceil((byteLength * 8) / Math.log2(DIGITS.length))

export function encodeBase62(bytes: Buffer): string {
  let rest = BigInt(`0x0${bytes.toString('hex')}`)
  let text = ''
  for (let left = widthOf(bytes.length); left > 0; left -= 1) {
    text = DIGITS.charAt(Number(rest % BASE)) + text
    rest /= BASE
  }
  return text
}

/**
 * Decodes a text to `byteLength` bytes. @returns undefined for another width, a foreign character, or a value
 * that does not fit
 */
export function decodeBase62(text: string, byteLength: number): Buffer | undefined {
  if (text.length !== widthOf(byteLength)) return undefined
  let value = 0n
  for (const character of text) {
    const digit = DIGITS.indexOf(character)
    if (digit < 0) return undefined
    value = value * BASE + BigInt(digit)
  }
  if (value >> BigInt(byteLength * 8) > 0n) return undefined
  return Buffer.from(value.toString(16).padStart(byteLength * 2, '0'), 'hex')
}

/** `width` characters, each drawn without bias from a cryptographically secure source (5.95 bits each). */
export const randomBase62 = (width: number): string =>
  Array.from({ length: width }, () => DIGITS.charAt(randomInt(DIGITS.length))).join('')

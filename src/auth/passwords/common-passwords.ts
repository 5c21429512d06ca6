/**
 * Passwords that many people have. Where the list is from, and whose it is, `common-passwords.txt` says at
 * its beginning.
 */
import { readFileSync } from 'node:fs'
import { isPredictable, repeatedUnit } from './guessability.ts'

/**
 * Too well known to be on a list of what people choose by themselves; its words may be parted by anything.
 */
const FAMOUS = ['correct', 'horse', 'battery', 'staple']
const FAMOUS_PARTED = new RegExp(FAMOUS.join('[^\\p{L}\\p{N}]*'), 'gu')

let known: ReadonlySet<string> | undefined

/** Read when the first password is chosen. */
function commonPasswords(): ReadonlySet<string> {
  known ??= new Set(
    readFileSync(new URL('common-passwords.txt', import.meta.url), 'utf8')
      .split('\n')
      .concat(FAMOUS.join('')),
  )
  return known
}

/**
 * Whether a lower-case text is a common password, if repeated, or has one at its heart and little but digits
 * and punctuation around it.
 */
export function isCommon(text: string, common = commonPasswords()): boolean {
  const unit = repeatedUnit(text.replace(FAMOUS_PARTED, FAMOUS.join('')))
  const alphanumeric = unit.replace(/^[^\p{L}\p{N}]+/u, '').replace(/[^\p{L}\p{N}]+$/u, '')
  const letters = unit.replace(/^\P{L}+/u, '').replace(/\P{L}+$/u, '')
  return (
    common.has(text) ||
    [unit, alphanumeric, letters].some((core) => common.has(core) && isPredictable(unit.replace(core, '')))
  )
}

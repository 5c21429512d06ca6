/**
 * Passwords that many people use. The head of `common-passwords.txt` names the source and the licence of the
 * list.
 */
import { readFileSync } from 'node:fs'
import { isPredictable, repeatedUnit } from './guessability.ts'

/**
 * This passphrase is too famous for a list of passwords that people choose themselves. Any separators may be
 * between its words.
 */
const FAMOUS = ['correct', 'horse', 'battery', 'staple']
const FAMOUS_PARTED = new RegExp(FAMOUS.join('[^\\p{L}\\p{N}]*'), 'gu')

let known: ReadonlySet<string> | undefined

/** Loads the list when the first password is chosen. */
function commonPasswords(): ReadonlySet<string> {
  known ??= new Set(
    readFileSync(new URL('common-passwords.txt', import.meta.url), 'utf8')
      .split('\n')
      .concat(FAMOUS.join('')),
  )
  return known
}

/**
 * Whether a lower-case text is a common password, a repeated one, or one with little more than digits and
 * punctuation around it.
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

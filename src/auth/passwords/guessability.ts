/**
 * Measures how many characters of a text are hard to guess. Repetition, counting, alphabets and keyboard
 * sequences do not count.
 */

/**
 * In each row a character predicts the next, forwards and backwards: alphabets, and the rows and columns of
 * Latin and Russian keyboards.
 */
const ROWS = [
  ['abcdefghijklmnopqrstuvwxyz', 'абвгдежзийклмнопрстуфхцчшщъыьэюя', '01234567890'],
  ['qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwertzuiop', 'yxcvbnm', 'azertyuiop', 'qsdfghjklm', 'wxcvbn'],
  ['йцукенгшщзхъ', 'фывапролджэ', 'ячсмитьбю'],
  ['1qaz', '2wsx', '3edc', '4rfv', '5tgb', '6yhn', '7ujm', '1q2w3e4r5t6y7u8i9o0p', 'q1w2e3r4t5y6u7i8o9p0'],
].flat()

const pairsOf = (row: string) =>
  Array.from({ length: row.length - 1 }, (_, index) => row.slice(index, index + 2))
const FORWARD = new Set(ROWS.flatMap(pairsOf))

const stepBetween = (before: string | undefined, after: string) => {
  if (before === undefined) return undefined
  if (before === after) return 'same'
  return FORWARD.has(before + after) ? 'forward' : FORWARD.has(after + before) ? 'backward' : undefined
}

/** A year counts as one character. */
const YEAR = /(?:19|20)\d\d/g

/** Counts code points. A run of three or more counts as one. */
function countUnpredictable(characters: string[]): number {
  const steps = characters.map((character, index) => stepBetween(characters[index - 1], character))
  return steps.filter(
    (step, index) => step === undefined || (step !== steps[index - 1] && step !== steps[index + 1]),
  ).length
}

/**
 * @returns `hello` for `hellohello` and for `hellohellohel`; the text itself when it is not one repeated unit
 */
export function repeatedUnit(text: string): string {
  const characters = [...text]
  for (let length = 1; length * 2 <= characters.length; length += 1)
    if (characters.every((character, index) => index < length || character === characters[index - length]))
      return characters.slice(0, length).join('')
  return text
}

/**
 * The minimum for a password, and for the part that remains without common words: `dragon2024!` is as weak as
 * `2024!`.
 */
const MIN_SURPRISES = 6

/**
 * Whether a lower-case text has so few unpredictable characters that the rest of a password must supply more.
 */
export const isPredictable = (text: string): boolean =>
  countUnpredictable([...repeatedUnit(text).replaceAll(YEAR, '\0')]) < MIN_SURPRISES

/** What a password must be when it is chosen. No composition rules (NIST SP 800-63B, 3.1.1.2), and no normalisation. */

/** Code points. */
export const PASSWORD_LENGTH = { min: 12, max: 256 } as const

/** Who chooses it, whose name and address it must not consist of; `minLength` replaces the default minimum. */
export type PasswordContext = { email?: string | undefined; fullName?: string | null | undefined; minLength?: number | undefined }

/** Stable: clients are written against them. */
export type PasswordProblem = 'malformed' | 'too-short' | 'too-long' | 'context-word'

type Rule = [problem: PasswordProblem, isBroken: (password: string, context: PasswordContext) => boolean]

const SERVICE = 'netpilot'
/** Shorter words are part of too many others. Code points. */
const MIN_WORD = 4
/** What a password must hold beyond its context words: `netpilot2024` is as good as `2024`. Code points. */
const MIN_BEYOND_CONTEXT = 6

const lengthOf = (text: string) => [...text].length

/** The longest first, so that a whole address is taken out before its parts. */
function contextWords({ email, fullName }: PasswordContext): string[] {
  const names = [SERVICE, email ?? '', fullName ?? ''].map((name) => name.toLowerCase())
  const words = names.flatMap((name) => {
    const parts = name.split(/[^\p{L}\p{N}]+/u)
    return [name, parts.join(''), ...parts]
  })
  return words.filter((word) => lengthOf(word) >= MIN_WORD).sort((a, b) => b.length - a.length)
}

/** In the order in which they are told. */
const RULES: Rule[] = [
  // A lone surrogate would hash like any other, and PostgreSQL stores no NUL.
  ['malformed', (password) => !password.isWellFormed() || password.includes('\0')],
  ['too-short', (password, { minLength = PASSWORD_LENGTH.min }) => lengthOf(password) < minLength],
  ['too-long', (password) => lengthOf(password) > PASSWORD_LENGTH.max],
  [
    'context-word',
    (password, context) => {
      const beyond = contextWords(context).reduce((rest, word) => rest.replaceAll(word, ''), password.toLowerCase())
      return lengthOf(beyond) < MIN_BEYOND_CONTEXT
    },
  ],
]

/** The first rule that a password breaks, or undefined when it may be used. */
export function passwordProblem(password: string, context: PasswordContext = {}): PasswordProblem | undefined {
  return RULES.find(([, isBroken]) => isBroken(password, context))?.[0]
}

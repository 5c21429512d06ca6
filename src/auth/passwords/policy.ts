/**
 * The rules for every new password: it is long enough, and it is not one of the first guesses. There are no
 * composition rules (NIST SP 800-63B, 3.1.1.2) and no normalisation.
 */
import { isStorableText } from '../../database/storable-text.ts'
import { problem } from '../../http/problem.ts'
import { isCommon } from './common-passwords.ts'
import { isPredictable } from './guessability.ts'

/** In code points. The configuration may replace `min`. */
const PASSWORD_LENGTH = { min: 12, max: 256 } as const

/**
 * The person who chooses the password, which must not consist of their name or address. `minLength` replaces
 * the default minimum.
 */
export type PasswordContext = {
  email?: string | undefined
  fullName?: string | null | undefined
  minLength?: number | undefined
}

/** These values are stable, because clients depend on them. */
export const PASSWORD_PROBLEMS = [
  'malformed',
  'too-short',
  'too-long',
  'predictable',
  'context-word',
  'common',
] as const
export type PasswordProblem = (typeof PASSWORD_PROBLEMS)[number]

type PasswordRule = {
  code: PasswordProblem
  text: (minLength: number) => string
  isBroken: (password: string, context: PasswordContext) => boolean
}

const SERVICE = 'netpilot'
/** Shorter words occur inside too many other words. In code points. */
const MIN_WORD = 4

const lengthOf = (text: string) => [...text].length

/** The longest come first, so that a whole address is removed before its parts. */
function contextWords({ email, fullName }: PasswordContext): string[] {
  const names = [SERVICE, email ?? '', fullName ?? ''].map((name) => name.toLowerCase())
  const words = names.flatMap((name) => {
    const parts = name.split(/[^\p{L}\p{N}]+/u)
    return [name, parts.join(''), ...parts]
  })
  return words.filter((word) => lengthOf(word) >= MIN_WORD).sort((a, b) => b.length - a.length)
}

/** The lower-case password without the words that an attacker who knows the account can guess. */
const beyondContext = (password: string, context: PasswordContext) =>
  contextWords(context).reduce((rest, word) => rest.replaceAll(word, ''), password.toLowerCase())

/** In the order in which they are reported. */
const RULES: PasswordRule[] = [
  {
    code: 'malformed',
    text: () => 'must hold no character that cannot be stored: U+0000 or a lone surrogate',
    // A lone surrogate would hash like any other, and PostgreSQL stores no NUL.
    isBroken: (password) => !isStorableText(password),
  },
  {
    code: 'too-short',
    text: (minLength) => `must have at least ${minLength} characters`,
    isBroken: (password, { minLength = PASSWORD_LENGTH.min }) => lengthOf(password) < minLength,
  },
  {
    code: 'too-long',
    text: () => `must have at most ${PASSWORD_LENGTH.max} characters`,
    isBroken: (password) => lengthOf(password) > PASSWORD_LENGTH.max,
  },
  {
    code: 'predictable',
    text: () => 'must be more than repetitions, sequences and rows of keys',
    isBroken: (password) => isPredictable(password.toLowerCase()),
  },
  {
    code: 'context-word',
    text: () => 'must say more than your name, your address or the name of this service',
    isBroken: (password, context) => isPredictable(beyondContext(password, context)),
  },
  {
    code: 'common',
    text: () => 'must be more than a password that many people have, with digits or punctuation around it',
    isBroken: (password, context) => isCommon(beyondContext(password, context)),
  },
]

const brokenRule = (password: string, context: PasswordContext) =>
  RULES.find(({ isBroken }) => isBroken(password, context))

/** @returns the first rule that a password breaks, or undefined when the password is acceptable */
export const passwordProblem = (
  password: string,
  context: PasswordContext = {},
): PasswordProblem | undefined => brokenRule(password, context)?.code

/** The configured rules, for every place where a password is chosen. */
export type PasswordPolicy = {
  /** The rules that a form shows before the person chooses a password. */
  requirements: {
    minLength: number
    maxLength: number
    unit: 'code points'
    rules: { code: PasswordProblem; text: string }[]
  }
  /**
   * `path`: the location of the password in the request.
   * @throws Problem `invalid-request`, naming the rule that the password breaks
   */
  assertAcceptable(path: string, password: string, chooser: Omit<PasswordContext, 'minLength'>): void
}

export function createPasswordPolicy(minLength: number): PasswordPolicy {
  return {
    requirements: {
      minLength,
      maxLength: PASSWORD_LENGTH.max,
      unit: 'code points',
      rules: RULES.map(({ code, text }) => ({ code, text: text(minLength) })),
    },
    assertAcceptable(path, password, chooser) {
      const rule = brokenRule(password, { ...chooser, minLength })
      if (rule)
        throw problem('invalid-request', {
          errors: [{ path, code: rule.code, message: rule.text(minLength) }],
        })
    },
  }
}

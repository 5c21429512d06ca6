/**
 * What a password must be when it is chosen, wherever that is: long enough, and not what a guesser tries
 * first. No composition rules (NIST SP 800-63B, 3.1.1.2), and no normalisation.
 */
import { problem } from '../../http/problem.ts'
import { isCommon } from './common-passwords.ts'
import { isPredictable } from './guessability.ts'

/** Code points; `min` unless the configuration says otherwise. */
const PASSWORD_LENGTH = { min: 12, max: 256 } as const

/**
 * Who chooses it, whose name and address it must not consist of; `minLength` replaces the default minimum.
 */
export type PasswordContext = {
  email?: string | undefined
  fullName?: string | null | undefined
  minLength?: number | undefined
}

/** Stable: clients are written against them. */
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
/** Shorter words are part of too many others. Code points. */
const MIN_WORD = 4

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

/** What the password says, in lower case, beyond words that everybody can guess who knows whose it is. */
const beyondContext = (password: string, context: PasswordContext) =>
  contextWords(context).reduce((rest, word) => rest.replaceAll(word, ''), password.toLowerCase())

/** In the order in which they are told. */
const RULES: PasswordRule[] = [
  {
    code: 'malformed',
    text: () => 'must hold no character that cannot be stored: U+0000 or a lone surrogate',
    // A lone surrogate would hash like any other, and PostgreSQL stores no NUL.
    isBroken: (password) => !password.isWellFormed() || password.includes('\0'),
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

/** The first rule that a password breaks, or undefined when it may be used. */
export const passwordProblem = (
  password: string,
  context: PasswordContext = {},
): PasswordProblem | undefined => brokenRule(password, context)?.code

/** The rules as they are configured, for every place where a password is chosen. */
export type PasswordPolicy = {
  /** For a form, before anything is chosen. */
  requirements: {
    minLength: number
    maxLength: number
    unit: 'code points'
    rules: { code: PasswordProblem; text: string }[]
  }
  /**
   * `path`: where the password stands in the request. @throws Problem `invalid-request`, naming the rule that
   * the password breaks
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

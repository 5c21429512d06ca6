/**
 * Passwords at rest: `np1:` and bcrypt(base64(HMAC-SHA-256(pepper, password))). The digest is 44 characters,
 * so that no byte of a password falls beyond bcrypt's 72, and without the pepper a stolen table cannot be
 * guessed at. Plain bcrypt strings, from an import, verify too.
 */
import { createHmac, randomBytes } from 'node:crypto'
import bcrypt from 'bcrypt'
import { type MasterSecrets, requirePeppers } from '../../crypto/keyring.ts'
import { createConcurrencyLimiter, type JobLimits } from '../../http/limits/concurrency-limit.ts'

/**
 * `upgrade`: the password is right, but stored in an older way or at a lower cost; store `hash(password)`
 * instead.
 */
type Verification = { ok: boolean; upgrade: boolean }

export type Passwords = {
  /**
   * What to store. @throws Problem `unavailable` when too many wait, TypeError on a lone surrogate, which no
   * encoding keeps apart from others
   */
  hash(password: string): Promise<string>
  /**
   * Against what is stored; undefined where there is nothing (no such account, no password, deactivated),
   * which costs the same bcrypt and is never right. @throws Problem `unavailable` when too many wait
   */
  verify(password: string, stored: string | undefined): Promise<Verification>
  /** @throws Problem `unavailable` when so many wait that `hash` and `verify` would throw it, too */
  demandRoom(): void
}

/**
 * `pepper`: at least 32 random bytes as text, kept outside the database, and the one before while hashes are
 * renewed. `cost`: of bcrypt, its binary logarithm.
 */
export type PasswordOptions = { pepper: MasterSecrets; cost: number } & JobLimits

const SCHEME = 'np1:'
/**
 * Costs 04 to 31; anchored at both ends, because bcrypt's own comparison ignores what follows a NUL in the
 * stored text.
 */
const STORED = /^(?<scheme>np1:)?\$2[aby]\$(?<cost>0[4-9]|[12]\d|3[01])\$(?<rest>[./A-Za-z0-9]{53})$/

/**
 * A bcrypt string of real cost and salt whose digest belongs to no password: comparing with it takes as long
 * as with any other.
 */
function makeDecoy(cost: number): string {
  const digest = randomBytes(24).toString('base64').replaceAll('+', '.').slice(0, 31)
  return bcrypt.genSaltSync(cost) + digest
}

/** @throws Error when the pepper is too short to be one */
export function createPasswords({ pepper, cost, ...limits }: PasswordOptions): Passwords {
  requirePeppers(pepper)
  const run = createConcurrencyLimiter(limits)
  const decoy = makeDecoy(cost)
  const { previous } = pepper
  const peppered = (password: string, by = pepper.current) =>
    createHmac('sha256', by).update(password).digest('base64')

  return {
    demandRoom: run.demandRoom,
    async hash(password) {
      if (!password.isWellFormed()) throw new TypeError('A password must be well-formed text')
      return SCHEME + (await run(() => bcrypt.hash(peppered(password), cost)))
    },
    async verify(password, stored) {
      const parts = password.isWellFormed() ? STORED.exec(stored ?? '')?.groups : undefined
      if (!parts) {
        for (const by of previous === undefined ? [pepper.current] : [pepper.current, previous])
          await run(() => bcrypt.compare(peppered(password, by), decoy))
        return { ok: false, upgrade: false }
      }
      const isPlain = parts.scheme === undefined
      // For a password under 255 bytes `2a`, `2b` and `2y` name one algorithm, the last of which the library
      // does not know.
      const compare = (text: string) => run(() => bcrypt.compare(text, `$2b$${parts.cost}$${parts.rest}`))
      const ok = await compare(isPlain ? password : peppered(password))
      const byPrevious =
        previous !== undefined && !ok && (await compare(isPlain ? password : peppered(password, previous)))
      return { ok: ok || byPrevious, upgrade: byPrevious || (ok && (isPlain || Number(parts.cost) < cost)) }
    },
  }
}

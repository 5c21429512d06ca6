/**
 * Stored passwords: `np1:` and bcrypt(base64(HMAC-SHA-256(pepper, password))). The digest is 44 characters,
 * so that bcrypt's limit of 72 bytes cuts off no part of a password. Without the pepper, guesses against a
 * stolen table cannot be checked. Plain bcrypt strings, from an import, verify too.
 */
import { createHmac, randomBytes } from 'node:crypto'
import bcrypt from 'bcrypt'
import { type MasterSecrets, requirePeppers } from '../../crypto/keyring.ts'
import { createConcurrencyLimiter, type JobLimits } from '../../http/limits/concurrency-limit.ts'

/**
 * `upgrade`: the password is right but stored in an older format or at a lower cost. The caller stores
 * `hash(password)` instead.
 */
type Verification = { ok: boolean; upgrade: boolean }

export type Passwords = {
  /**
   * @returns the text to store
   * @throws Problem `unavailable` when too many computations wait; TypeError on a lone surrogate, which no
   * encoding distinguishes from other lone surrogates
   */
  hash(password: string): Promise<string>
  /**
   * Compares a password with the stored text. `stored` is undefined when there is no such account, it has no
   * password, or it is deactivated. That costs the same bcrypt computation and is never right.
   * @throws Problem `unavailable` when too many computations wait
   */
  verify(password: string, stored: string | undefined): Promise<Verification>
  /**
   * @throws Problem `unavailable` when so many computations wait that `hash` and `verify` would throw it, too
   */
  demandRoom(): void
}

/**
 * `pepper`: at least 32 random bytes as text, stored outside the database, and the previous one while hashes
 * are renewed. `cost`: bcrypt's cost, a binary logarithm.
 */
export type PasswordOptions = { pepper: MasterSecrets; cost: number } & JobLimits

const SCHEME = 'np1:'
/**
 * Costs 04 to 31. The pattern is anchored at both ends, because bcrypt's own comparison ignores what follows
 * a NUL in the stored text.
 */
const STORED = /^(?<scheme>np1:)?\$2[aby]\$(?<cost>0[4-9]|[12]\d|3[01])\$(?<rest>[./A-Za-z0-9]{53})$/

/**
 * Makes a bcrypt string of real cost and salt whose digest matches no password. Comparing with it takes as
 * long as with any other.
 */
function makeDecoy(cost: number): string {
  const digest = randomBytes(24).toString('base64').replaceAll('+', '.').slice(0, 31)
  return bcrypt.genSaltSync(cost) + digest
}

/** @throws Error when the pepper is too short */
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
      // For a password under 255 bytes `2a`, `2b` and `2y` name one algorithm. The library does not support
      // `2y`.
      const compare = (text: string) => run(() => bcrypt.compare(text, `$2b$${parts.cost}$${parts.rest}`))
      const ok = await compare(isPlain ? password : peppered(password))
      const byPrevious =
        previous !== undefined && !ok && (await compare(isPlain ? password : peppered(password, previous)))
      return { ok: ok || byPrevious, upgrade: byPrevious || (ok && (isPlain || Number(parts.cost) < cost)) }
    },
  }
}

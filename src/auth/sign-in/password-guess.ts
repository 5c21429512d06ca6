/**
 * One guess at a password: counting it, checking it, and running the work that a right password allows. The
 * guess stays counted when the password is wrong, or when the work refuses the request. If the server or the
 * database fails instead, the guess is given back, because it revealed nothing about the password.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { isRefusal, problem } from '../../http/problem.ts'
import { type BackgroundTasks, LONGEST_PAUSE_MS } from '../../jobs/background-tasks.ts'
import { ANONYMOUS, type AuthIdentity } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { type Counted, type Guess, type Lockout, nameOf } from '../credentials/lockout.ts'
import type { Passwords } from '../passwords/hashing.ts'

type PasswordGuess<Found, Result> = {
  identity: AuthIdentity
  guess: Guess
  password: string
  /** Finds the account to check the password against, in the transaction that counts the guess. */
  find(tx: Tx): Promise<Found | undefined>
  /**
   * @returns the stored hash. With null, or when nothing is found, every password is wrong, and the check
   * takes the same time.
   */
  storedIn(found: Found): string | null
  /**
   * Runs the work that a right password allows. The error that it throws decides whether the guess stays
   * counted. `upgrade`: the hash uses an older scheme.
   */
  whenRight(found: Found, upgrade: boolean): Promise<Result>
  /** `isLast`: this guess started the lockout. */
  whenWrong(found: Found | undefined, isLast: boolean): Promise<void>
}

/**
 * @throws Problem `invalid-credentials`; `unavailable` when too many checks are waiting, before the guess is
 * counted; `locked-out`, before the password is checked
 */
export type GuessPassword = <Found, Result>(guess: PasswordGuess<Found, Result>) => Promise<Result>

export type PasswordGuessOptions = {
  withTransaction: WithTransaction
  passwords: Passwords
  lockout: Lockout
  background: BackgroundTasks
}

/** How long a request waits until a guess is given back. It is long enough for the next attempt. */
const PATIENCE_MS = 2 * LONGEST_PAUSE_MS

export function createPasswordGuesses({
  withTransaction,
  passwords,
  lockout,
  background,
}: PasswordGuessOptions): GuessPassword {
  /** Guesses that are still to be given back, by their target. */
  const owed = new Map<string, Promise<unknown>>()
  const waitFor = (work: Promise<unknown> | undefined) =>
    work && Promise.race([work, pause(PATIENCE_MS, undefined, { ref: false })])

  /** Retries, because the database may be the part that failed. */
  function giveBack(guess: Guess, counted: Counted): Promise<unknown> {
    const name = nameOf(guess)
    const attempts = background.keepTrying(
      () => withTransaction(ANONYMOUS, (tx) => lockout.giveBack(tx, guess, counted)),
      1_000 * lockout.limits.seconds,
    )
    const all = Promise.all([owed.get(name), attempts]).finally(
      () => owed.get(name) === all && owed.delete(name),
    )
    owed.set(name, all)
    return all
  }

  return async ({ identity, guess, password, find, storedIn, whenRight, whenWrong }) => {
    passwords.demandRoom()
    // Without this wait, guesses that are not yet given back could lock this request out.
    await waitFor(owed.get(nameOf(guess)))
    const pending: { counted?: Counted } = {}
    try {
      const { isLast, found } = await withTransaction(identity, async (tx) => {
        const counted = await lockout.count(tx, guess)
        const found = await find(tx)
        // From here on the count may be stored, even if the answer to COMMIT never arrives.
        pending.counted = counted
        return { ...counted, found }
      })
      const { ok, upgrade } = await passwords.verify(password, (found && storedIn(found)) ?? undefined)
      if (found && ok) return await whenRight(found, upgrade)
      delete pending.counted
      await whenWrong(found, isLast)
      throw problem('invalid-credentials')
    } catch (error) {
      if (pending.counted && !isRefusal(error)) await waitFor(giveBack(guess, pending.counted))
      throw error
    }
  }
}

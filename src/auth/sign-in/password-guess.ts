/**
 * One guess at a password, from its count to what it leads to. It stays counted when it was found wrong, or
 * when who made it was turned away after all. When the server or the database fails instead, it is given
 * back: that was nobody's guess.
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
  /** Finds what the password is checked against, in the transaction that counts the guess. */
  find(tx: Tx): Promise<Found | undefined>
  /** Null, or nothing found: no password is right, and that takes as long to say. */
  storedIn(found: Found): string | null
  /**
   * All that a right password leads to; what it throws decides whether the guess stays counted. `upgrade`:
   * the hash is of an older scheme.
   */
  whenRight(found: Found, upgrade: boolean): Promise<Result>
  /**
   * `isLast`: the lockout has begun.
   */
  whenWrong(found: Found | undefined, isLast: boolean): Promise<void>
}

/**
 * @throws Problem `invalid-credentials`; `unavailable`, before anything is counted, when there is no room;
 * `locked-out`, before anything is checked
 */
export type GuessPassword = <Found, Result>(guess: PasswordGuess<Found, Result>) => Promise<Result>

export type PasswordGuessOptions = {
  withTransaction: WithTransaction
  passwords: Passwords
  lockout: Lockout
  background: BackgroundTasks
}

/** How long somebody waits for a guess to be given back: long enough for the next attempt at it. */
const PATIENCE_MS = 2 * LONGEST_PAUSE_MS

export function createPasswordGuesses({
  withTransaction,
  passwords,
  lockout,
  background,
}: PasswordGuessOptions): GuessPassword {
  /** Guesses that are not given back yet, by what was guessed at. */
  const owed = new Map<string, Promise<unknown>>()
  const waitFor = (work: Promise<unknown> | undefined) =>
    work && Promise.race([work, pause(PATIENCE_MS, undefined, { ref: false })])

  /** The database may be what failed, hence more than one attempt. */
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
    // Or the next one would be locked out for those that are owed.
    await waitFor(owed.get(nameOf(guess)))
    const pending: { counted?: Counted } = {}
    try {
      const { isLast, found } = await withTransaction(identity, async (tx) => {
        const counted = await lockout.count(tx, guess)
        const found = await find(tx)
        // From here on it may have been stored, also when COMMIT is never answered.
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

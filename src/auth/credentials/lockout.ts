/**
 * A limit on guesses. After a number of failures, no further guess at that account is allowed for a time,
 * whether or not the account exists. A guess is counted before it is checked, and a right guess clears the
 * count. Parallel guesses, on any number of servers, therefore get no more attempts than sequential ones. A
 * guess that failed for another reason than being wrong is given back.
 */
import { createHmac } from 'node:crypto'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { problem } from '../../http/problem.ts'
import type { Tx } from '../../rls/transaction.ts'

/**
 * The target of a guess. Each target has its own count, so that a stranger who guesses at the login locks no
 * other target.
 */
export type Guess = { at: 'login'; email: string } | { at: 'password' | 'second-factor'; userId: string }

/**
 * `isLast`: it was the last allowed guess. `at`: when it was counted, as the database's text, which is exact
 * where a Date is not.
 */
export type Counted = { isLast: boolean; at: string }

export type Lockout = {
  /** @throws Problem `locked-out`, before anything is checked */
  count(tx: Tx, guess: Guess): Promise<Counted>
  /** Clears the counts, after a right guess or a change of the password. */
  clear(tx: Tx, ...guesses: Guess[]): Promise<void>
  /**
   * Removes a guess that was not found wrong from the count, and ends a lockout that only this guess reached.
   * After the guess has expired, nothing is given back. If a right guess cleared the count meanwhile, a later
   * guess may be given back instead. Each right guess can thus allow as many extra guesses as were in
   * progress.
   */
  giveBack(tx: Tx, guess: Guess, counted: Counted): Promise<void>
  limits: { failures: number; seconds: number }
}

export type LockoutOptions = { keys: SigningKeys; failures: number; seconds: number }

export function createLockout({ keys: [{ secret }], failures, seconds }: LockoutOptions): Lockout {
  // A leaked table must not reveal who has an account or tried to sign in.
  const keyOf = (guess: Guess) => createHmac('sha256', secret).update(nameOf(guess)).digest()
  return {
    limits: { failures, seconds },
    async count(tx, guess) {
      const key = keyOf(guess)
      // A guess during the lockout changes nothing, so it does not prolong the lockout.
      const [counted] = await tx.query<{ failures: number; at: string }>({
        name: 'count guess',
        text: `insert into sign_in_attempts as a (key, failures, locked_until)
            values ($1, 1, case when $2::int <= 1 then now() + make_interval(secs => $3::int) end)
          on conflict (key) do update set last_failed_at = greatest(a.last_failed_at, now()), (failures, locked_until) = (
            select n, case when n >= $2::int then now() + make_interval(secs => $3::int) end
              from (select case when a.locked_until is not null or a.last_failed_at < now() - make_interval(secs => $3::int) then 1
                else a.failures + 1 end) as counted (n))
            where a.locked_until is null or a.locked_until <= now()
          returning failures, last_failed_at::text as at`,
        values: [key, failures, seconds],
      })
      if (counted) return { isLast: counted.failures >= failures, at: counted.at }
      // now() is the start of this transaction, which may be earlier than the start of the one that locked.
      const [locked] = await tx.query<{ seconds: number }>({
        name: 'find lockout',
        text: `select greatest(1, ceil(extract(epoch from locked_until - statement_timestamp())))::int as seconds from sign_in_attempts where key = $1`,
        values: [key],
      })
      throw problem('locked-out', { retryAfter: locked?.seconds ?? 1 })
    },
    async clear(tx, ...guesses) {
      await tx.query({
        name: 'clear guesses',
        text: 'delete from sign_in_attempts where key = any($1)',
        values: [guesses.map(keyOf)],
      })
    },
    async giveBack(tx, guess, { at }) {
      const key = keyOf(guess)
      await tx.query({
        name: 'give guess back',
        // A later guess has increased `last_failed_at`. For this many seconds after a guess no new count can
        // have started by itself. An insert waits for a count whose COMMIT is still in progress on a lost
        // connection. An update would not find it.
        text: `insert into sign_in_attempts as a (key, failures, last_failed_at) values ($1, 0, $2::timestamptz)
          on conflict (key) do update set failures = a.failures - 1, locked_until = null
            where a.last_failed_at >= $2::timestamptz and $2::timestamptz > now() - make_interval(secs => $3::int)`,
        values: [key, at, seconds],
      })
      await tx.query({
        name: 'forget no guesses',
        text: 'delete from sign_in_attempts where key = $1 and failures <= 0',
        values: [key],
      })
    },
  }
}

/** The target of a guess, as one text. */
export const nameOf = (guess: Guess): string =>
  `${guess.at} ${guess.at === 'login' ? guess.email : guess.userId}`

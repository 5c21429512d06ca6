/**
 * A bound on guesses: after so many failures nobody may guess at that account for a while, whether or not it
 * exists. A guess is counted before it is checked and forgotten when it was right, so that guesses at once,
 * on any number of servers, are no more than guesses in turn. What failed for another reason than being wrong
 * is given back.
 */
import { createHmac } from 'node:crypto'
import type { SigningKeys } from '../../crypto/keyring.ts'
import { problem } from '../../http/problem.ts'
import type { Tx } from '../../rls/transaction.ts'

/**
 * What is guessed at. Each is counted apart: a stranger who guesses at the login locks none of the others.
 */
export type Guess = { at: 'login'; email: string } | { at: 'password' | 'second-factor'; userId: string }

/**
 * `isLast`: it was the last one that is allowed. `at`: when it was counted, as the database's text, which is
 * exact where a Date is not.
 */
export type Counted = { isLast: boolean; at: string }

export type Lockout = {
  /** @throws Problem `locked-out`, before anything is checked */
  count(tx: Tx, guess: Guess): Promise<Counted>
  /** A guess was right, or there is another password to guess at: all are forgotten. */
  clear(tx: Tx, ...guesses: Guess[]): Promise<void>
  /**
   * A guess was not found wrong: it counts no more, and a lockout that was only reached with it ends. Nothing
   * is given back when its time has passed. When a right guess meanwhile made all forgotten, one that was
   * counted since may be given back instead: so for each right guess there may be as many more as were under
   * way.
   */
  giveBack(tx: Tx, guess: Guess, counted: Counted): Promise<void>
  limits: { failures: number; seconds: number }
}

export type LockoutOptions = { keys: SigningKeys; failures: number; seconds: number }

export function createLockout({ keys: [{ secret }], failures, seconds }: LockoutOptions): Lockout {
  // A leaked table must not tell who has an account, or tried to.
  const keyOf = (guess: Guess) => createHmac('sha256', secret).update(nameOf(guess)).digest()
  return {
    limits: { failures, seconds },
    async count(tx, guess) {
      const key = keyOf(guess)
      // A guess during the lockout changes nothing, and so does not prolong it.
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
      // Not now(), which is when this transaction began: before the one that locked, perhaps.
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
        // Those who guessed since have moved `last_failed_at` on. For so many seconds after a guess no new
        // count can have begun by itself. Inserting waits for a count whose COMMIT is still under way on a
        // connection that was lost; updating would not find it.
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

/** What a guess is aimed at, as one text. */
export const nameOf = (guess: Guess): string =>
  `${guess.at} ${guess.at === 'login' ? guess.email : guess.userId}`

import { createHmac } from 'node:crypto'
import type { SigningKeys } from '../../crypto/keyring.ts'
import type { RatePolicy } from '../../http/limits/rate-limit.ts'
import type { Tx } from '../../rls/transaction.ts'

/** Adds one in the current window. @returns the new count, and the seconds until the window ends */
export async function incrementCounter(
  tx: Tx,
  { name, window }: RatePolicy,
  key: Buffer,
): Promise<{ count: number; reset: number }> {
  const [counted] = await tx.query<{ count: number; reset: number }>({
    name: 'count by address',
    text: `insert into rate_counters as c (bucket, key, window_start, count)
        values ($1, $2, to_timestamp(floor(extract(epoch from now()) / $3::int) * $3::int), 1)
      on conflict (bucket, key) do update set window_start = excluded.window_start,
        count = case when c.window_start = excluded.window_start then c.count + 1 else 1 end
      returning count, greatest(1, ceil(extract(epoch from window_start + make_interval(secs => $3::int) - now())))::int as reset`,
    values: [name, key, window],
  })
  return counted as { count: number; reset: number }
}

/** Stores an HMAC, because addresses of people are not kept. */
export const rateLimitKey = ([{ secret }]: SigningKeys, what: string): Buffer =>
  createHmac('sha256', secret).update(what).digest()

/**
 * The last use of each key. The process records each use in memory and writes once a minute in one statement,
 * so that no request waits for it. A crash loses one minute of uses, which no feature depends on.
 */

import type { AgentIdentity } from '../../rls/identity.ts'
import type { WithTransaction } from '../../rls/transaction.ts'

const WRITE_EVERY_MS = 60_000

export type KeyUsageTracker = {
  note(identity: Pick<AgentIdentity, 'userId' | 'keyId'>): void
  /** Writes the recorded uses. It also runs once a minute, and when `stop` is called. */
  write(): Promise<void>
  stop(): Promise<void>
}

type LastUseOptions = {
  withTransaction: WithTransaction
  /** Receives the error of a failed write. The uses are kept for the next write. */
  onError: (error: unknown) => void
}

export function createKeyUsageTracker({ withTransaction, onError }: LastUseOptions): KeyUsageTracker {
  let noted = new Map<string, { userId: string; at: Date }>()

  async function write(): Promise<void> {
    if (noted.size === 0) return
    const uses = noted
    noted = new Map()
    const values = [
      [...uses.values()].map(({ userId }) => userId),
      [...uses.keys()],
      [...uses.values()].map(({ at }) => at),
    ]
    try {
      await withTransaction({ kind: 'auth' }, (tx) =>
        tx.query({
          name: 'record key use',
          text: 'select ctx.record_key_use($1::uuid[], $2::text[], $3::timestamptz[])',
          values,
        }),
      )
    } catch (error) {
      for (const [key, use] of uses) if (!noted.has(key)) noted.set(key, use)
      onError(error)
    }
  }

  const timer = setInterval(() => void write(), WRITE_EVERY_MS).unref()
  return {
    note: ({ userId, keyId }) => void noted.set(keyId, { userId, at: new Date() }),
    write,
    stop: async () => {
      clearInterval(timer)
      await write()
    },
  }
}

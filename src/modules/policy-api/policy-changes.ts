/**
 * Wakes agents that wait for their policy to change. A waiting request uses a timer and a map entry, but no
 * database connection. It wakes and reads the policy again when its router changes (on any server), when time
 * changes an outcome, or when the server shuts down.
 */
export type PolicyChanges = {
  /**
   * Subscribes before the first read, so that no change is missed in between.
   * @param digest the digest in the router's notifications
   * @param signal ends the wait when the agent disconnects
   */
  subscribe(digest: string, signal: AbortSignal): Subscription
  /** Wakes the requests that wait for one router, or all of them. */
  publish(digest?: string): void
}
type Subscription = {
  /**
   * Resolves when the policy should be read: at once if something changed since the last wait; else when it
   * changes, or at `deadline` (milliseconds since 1970).
   */
  next(deadline: number): Promise<void>
  stop(): void
}

/**
 * A pause that ends at 12:00:00.000 is read a little later, when it has ended by the database's clock too.
 */
const PAST_THE_MOMENT_MS = 20
/** The longest delay that setTimeout supports. */
const MAX_DELAY_MS = 2 ** 31 - 1

/** @param closing aborted when the server begins to shut down: every waiting request is answered at once */
export function createPolicyChanges(closing: AbortSignal): PolicyChanges {
  const watched = new Map<string, Set<() => void>>()
  const wakeAll = (waiters: Iterable<() => void>) => {
    for (const waiter of [...waiters]) waiter()
  }
  const publish = (digest?: string) => {
    if (digest !== undefined) wakeAll(watched.get(digest) ?? [])
    else for (const waiters of watched.values()) wakeAll(waiters)
  }
  closing.addEventListener('abort', () => publish(), { once: true })

  return {
    publish,
    subscribe(digest, signal) {
      let isDue = false
      let resolve: (() => void) | undefined
      let timer: NodeJS.Timeout | undefined
      const onWake = () => {
        clearTimeout(timer)
        isDue = resolve === undefined
        resolve?.()
        resolve = undefined
      }
      const waiters = watched.get(digest) ?? new Set()
      watched.set(digest, waiters.add(onWake))
      signal.addEventListener('abort', onWake, { once: true })
      return {
        next: (deadline) =>
          new Promise((done) => {
            if (isDue || closing.aborted || signal.aborted) {
              isDue = false
              return done()
            }
            resolve = done
            timer = setTimeout(
              onWake,
              Math.min(Math.max(deadline - Date.now(), 0) + PAST_THE_MOMENT_MS, MAX_DELAY_MS),
            )
          }),
        stop: () => {
          clearTimeout(timer)
          signal.removeEventListener('abort', onWake)
          waiters.delete(onWake)
          if (waiters.size === 0) watched.delete(digest)
        },
      }
    },
  }
}

/**
 * Agents that wait for their policy to change. A waiter holds a timer and a place in a map, and no connection
 * to the database: it is woken by a change to its router (on any server), by the moment at which time changes
 * the outcome, or because the server is leaving, and looks anew.
 */
export type PolicyChanges = {
  /**
   * Begins to watch before the first look, so that no change falls in between.
   * @param digest what wake-ups of the router carry
   * @param signal ends the wait when the agent has gone away
   */
  subscribe(digest: string, signal: AbortSignal): Subscription
  /** Wakes those who wait for one router, or for any. */
  publish(digest?: string): void
}
type Subscription = {
  /**
   * Resolves when a look is due: at once if something changed since the last wait; else when it does, or at
   * `deadline` (milliseconds since 1970).
   */
  next(deadline: number): Promise<void>
  stop(): void
}

/**
 * A pause that ends at 12:00:00.000 is looked at a moment later, when it has ended by the database's clock
 * too.
 */
const PAST_THE_MOMENT_MS = 20
/** What setTimeout can hold. */
const MAX_DELAY_MS = 2 ** 31 - 1

/** @param closing aborted when the server begins to leave: everybody is answered at once */
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

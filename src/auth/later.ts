/** Work that an answer must not wait for, because how long it takes would tell whether there is such an account. */
export type Later = {
  /** Begins at once; a failure is only logged. */
  run(work: () => Promise<unknown>): void
  /** When everything that was begun has ended. */
  settled(): Promise<void>
}

export function openLater(onError: (error: unknown) => void): Later {
  const underWay = new Set<Promise<void>>()
  return {
    run(work) {
      const running = work()
        .then(() => {}, onError)
        .finally(() => underWay.delete(running))
      underWay.add(running)
    },
    settled: async () => void (await Promise.all(underWay)),
  }
}

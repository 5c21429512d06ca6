import { defineConfig } from 'vitest/config'

/** `npm run test:long`: what takes minutes, and the network: the older versions of PostgreSQL that NetPilot takes, which npm has. */
export default defineConfig({
  test: {
    include: ['test/long/*.test.ts'],
    // One server at a time, each with all of `npm run verify:isolation`.
    maxWorkers: 1,
    testTimeout: 30 * 60_000,
  },
})

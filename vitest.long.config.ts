import { defineConfig } from 'vitest/config'
import { withDatabase } from './vitest.config.ts'

/**
 * `npm run test:long`: what takes minutes, and the network: the older versions of PostgreSQL that NetPilot
 * takes, which npm has.
 */
export default defineConfig({
  // One at a time: a version of PostgreSQL has all of `npm run verify:isolation`.
  test: { ...withDatabase, include: ['test/long/*.test.ts'], maxWorkers: 1, testTimeout: 30 * 60_000 },
})

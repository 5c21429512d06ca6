import { defineConfig } from 'vitest/config'

/** What starts processes and waits for them, or goes over every message or migration: `npm run test:slow`, in `.ci/run` too. */
const SLOW = ['create-admin', 'doctor', 'embedded', 'first-start', 'lockout-failures', 'process', 'readme', 'refusals', 'way-back']
export const slowTests = SLOW.map((name) => `test/${name}.test.ts`)

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // `npm run verify:isolation` has the oracles, in `.ci/run` too.
    exclude: ['test/system/**', 'test/long/**', 'test/oracles.test.ts', ...slowTests],
    globalSetup: ['test/support/database.ts'],
    // Row security is the isolation: each test makes its own people, and files share one server and one process.
    pool: 'threads',
    isolate: false,
    // What starts processes and waits for them need not hold the others up.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
})

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/system/**', 'test/long/**'],
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

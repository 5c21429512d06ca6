import { defineConfig } from 'vitest/config'

/** A file of `test/` that starts processes and waits, or goes over every message or migration. */
const SLOW = '**/*.slow.test.ts'

/** What tests with a database share: each makes its own people, so files share one server and one process. */
export const withDatabase = {
  globalSetup: ['test/support/database.ts'],
  pool: 'threads' as const,
  isolate: false,
  testTimeout: 20_000,
  hookTimeout: 60_000,
}

/**
 * `npm test`: all that is quick. `npm run test:unit` is its first project.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/*.test.ts'],
          pool: 'threads',
          isolate: false,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          ...withDatabase,
          name: 'database',
          include: ['test/{api,edge,isolation,process}/*.test.ts'],
          exclude: [SLOW],
        },
      },
    ],
  },
})

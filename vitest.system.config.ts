import { defineConfig } from 'vitest/config'
import { apart } from './test/system/pooler/apart.ts'

/** What needs root and the tools of the machine; it says what is missing. */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: { name: 'kernel', include: ['test/system/*.test.ts'] },
      },
      {
        // What speaks HTTP in `npm test`, once more, with PgBouncer between the servers and PostgreSQL.
        extends: true,
        test: {
          name: 'PgBouncer',
          include: ['test/{api,edge,isolation,process,system/pooler}/*.test.ts'],
          exclude: [...apart.map((file) => `test/${file}`)],
          globalSetup: ['test/system/pooler/setup.ts'],
          pool: 'threads',
          isolate: false,
          // Packets are timed in the kernel's tests: nothing else runs meanwhile.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})

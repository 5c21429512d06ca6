import { defineConfig } from 'vitest/config'
import { withDatabase } from './vitest.config.ts'

/**
 * `npm run test:slow`: the server and the commands as processes of their own, and what goes over every message
 * or migration.
 */
export default defineConfig({
  test: {
    ...withDatabase,
    include: ['test/{edge,process}/*.slow.test.ts'],
    maxWorkers: 2,
    testTimeout: 60_000,
  },
})

import { defineConfig } from 'vitest/config'
import { matrixReporter } from './test/support/matrix-reporter.ts'
import { withDatabase } from './vitest.config.ts'

/**
 * `npm run verify:isolation`: what asks whether isolation holds, and the figures. A leak or a finding fails a
 * test, and the command.
 */
export default defineConfig({
  test: {
    ...withDatabase,
    include: ['test/isolation/*.test.ts'],
    maxWorkers: 2,
    reporters: ['default', matrixReporter],
  },
})

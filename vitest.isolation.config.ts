import { defineConfig } from 'vitest/config'
import { matrixReporter } from './test/support/matrix-reporter.ts'
import common, { attackTests } from './vitest.config.ts'

/**
 * `npm run verify:isolation`: what asks whether isolation holds, and the figures. A leak or a finding fails a
 * test, and the command.
 */
export default defineConfig({
  test: {
    ...common.test,
    exclude: [],
    include: [
      ...attackTests,
      ...['row-security', 'seal', 'http-matrix'].map((name) => `test/${name}.test.ts`),
    ],
    reporters: ['default', matrixReporter],
  },
})

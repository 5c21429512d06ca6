import { defineConfig } from 'vitest/config'
import { matrixReporter } from './test/support/matrix-reporter.ts'
import common from './vitest.config.ts'

/** `npm run verify:isolation`: what asks whether isolation holds, and the figures. A leak or a finding fails a test, and the command. */
export default defineConfig({
  test: {
    ...common.test,
    exclude: [],
    include: [
      'test/row-security.test.ts',
      'test/planted-faults.test.ts',
      'test/attacks.test.ts',
      'test/oracles.test.ts',
      'test/seal.test.ts',
      'test/planted-holes.test.ts',
      'test/http-matrix.test.ts',
    ],
    reporters: ['default', matrixReporter],
  },
})

import { defineConfig } from 'vitest/config'
import common, { slowTests } from './vitest.config.ts'

/**
 * `npm run test:slow`: the server and the commands as processes of their own, and what goes over every
 * message or migration.
 */
export default defineConfig({
  test: { ...common.test, include: slowTests, exclude: [], testTimeout: 60_000 },
})

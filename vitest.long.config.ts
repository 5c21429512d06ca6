import { defineConfig } from 'vitest/config'
import common from './vitest.config.ts'

/** `npm run test:long`: what takes longer than a run of every change may. */
export default defineConfig({ test: { ...common.test, include: ['test/long/*.test.ts'], exclude: [] } })

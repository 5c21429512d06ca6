import { defineConfig } from 'vitest/config'

/** What needs root and the tools of the machine; test/system/network.ts says what is missing. */
export default defineConfig({
  test: {
    include: ['test/system/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})

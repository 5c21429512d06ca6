import { defineConfig } from 'vitest/config'

const paths = (names: string[]) => names.map((name) => `test/${name}.test.ts`)

/**
 * What starts processes and waits for them, or goes over every message or migration: `npm run test:slow`, in
 * `.ci/run` too.
 */
export const slowTests = paths([
  ...[
    'connections',
    'create-admin',
    'doctor',
    'embedded',
    'first-start',
    'lockout-failures',
    'outage',
    'overload',
    'policy-waiters',
  ],
  ...['plans', 'process', 'readme', 'refusals', 'setup', 'way-back'],
])
/**
 * What attacks the database with many thousand statements, and what attacks the attacks: `npm run
 * verify:isolation`, in `.ci/run` too.
 */
export const attackTests = paths(['attacks', 'oracles', 'planted-faults', 'planted-holes'])

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/system/**', 'test/long/**', ...slowTests, ...attackTests],
    globalSetup: ['test/support/database.ts'],
    // Row security is the isolation: each test makes its own people, and files share one server and one
    // process.
    pool: 'threads',
    isolate: false,
    // What starts processes and waits for them need not hold the others up.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
})

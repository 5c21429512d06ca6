/**
 * Test files that do not run behind the pooler, by the reason; those in `test/unit` need no database. Any
 * other runs; every-file.test.ts holds this list to what it says.
 */
const APART: Record<string, string[]> = {
  'PostgreSQL itself, asked in SQL': [
    'process/migrations.test.ts',
    'process/notifications.test.ts',
    'isolation/planted-faults.slow.test.ts',
    'isolation/row-security.test.ts',
  ],
  'the inside of the pool, and named statements; isolation.test.ts asks about the outside': [
    'isolation/transaction.test.ts',
  ],
  'the embedded server, which nobody puts a pooler in front of; process.test.ts here starts the server behind one':
    [
      'process/dev.slow.test.ts',
      'process/embedded.slow.test.ts',
      'process/env-file.test.ts',
      'process/first-start.slow.test.ts',
      'process/process.slow.test.ts',
      'process/readme.slow.test.ts',
      'process/refusals.slow.test.ts',
      'process/seed.slow.test.ts',
    ],
}

/** Their names. */
export const apart = Object.values(APART).flat()

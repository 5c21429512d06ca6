/**
 * Test files that do not run behind the pooler, by the reason. Any other runs; every-file.test.ts holds this
 * list to what it says.
 */
export const APART: Record<string, string[]> = {
  'functions, without a server of ours or a database': [
    'access-tokens.test.ts',
    'api-keys.test.ts',
    'decide.test.ts',
    'google.test.ts',
    'housekeeping.test.ts',
    'keyring.test.ts',
    'mail-settings.test.ts',
    'mail-texts.test.ts',
    'mail.test.ts',
    'passwords.test.ts',
    'policy-forms.test.ts',
    'reconcile.test.ts',
    'refresh-tokens.test.ts',
    'scan-parsers.test.ts',
    'totp.test.ts',
    'windows.test.ts',
  ],
  'the sources': ['architecture.test.ts'],
  'PostgreSQL itself, asked in SQL': [
    'migrations.test.ts',
    'notifications.test.ts',
    'planted-faults.test.ts',
    'row-security.test.ts',
  ],
  'the inside of the pool, and named statements; isolation.test.ts asks about the outside': [
    'session.test.ts',
  ],
  'the embedded server, which nobody puts a pooler in front of; process.test.ts here starts the server behind one':
    [
      'embedded.test.ts',
      'env-file.test.ts',
      'first-start.test.ts',
      'process.test.ts',
      'readme.test.ts',
      'refusals.test.ts',
    ],
}

/** Their names. */
export const apart = Object.values(APART).flat()

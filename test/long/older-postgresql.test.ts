/**
 * Isolation holds on every version of PostgreSQL that NetPilot takes: all of `npm run verify:isolation`,
 * against each.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { OLDER_VERSIONS, startVersion } from '../support/postgresql.ts'

it.for(OLDER_VERSIONS)('PostgreSQL %s isolates people from each other', async (version) => {
  const server = await startVersion(version)
  try {
    const run = spawn(
      process.execPath,
      ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.isolation.config.ts'],
      {
        env: { ...process.env, DATABASE_URL_TEST: server.url },
        stdio: 'inherit',
      },
    )
    expect(await once(run, 'close')).toEqual([0, null])
  } finally {
    await server.stop()
  }
})

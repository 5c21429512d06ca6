/** The database of a run, with a PgBouncer in front of it for the servers under test. */
import { relative } from 'node:path'
import type { TestProject } from 'vitest/node'
import { makeTestDatabase } from '../../support/database.ts'
import { startPooler } from './pgbouncer.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** What vitest runs behind the pooler when it is not told to run less; paths below `test`. */
    behindPooler: string[]
  }
}

export default async function openBehindPooler(project: TestProject) {
  const { database, hasOpenNeighbours, close } = await makeTestDatabase()
  // Many tests at once share two connections, and some send much: waiting is normal (as in `testConfig`).
  const pooler = await startPooler(database, { settings: { query_wait_timeout: 5 } }).catch(
    async (error: Error) => {
      await close()
      throw error
    },
  )
  project.provide('database', { ...database, pooler: pooler.address })
  project.provide('hasOpenNeighbours', hasOpenNeighbours)
  const { testFiles } = await project.globTestFiles()
  project.provide(
    'behindPooler',
    testFiles.map((file) => relative(`${project.config.root}/test`, file)),
  )

  return async () => {
    await pooler.stop()
    await close()
  }
}

/** That nothing speaks HTTP in `npm test` and is missing behind the pooler. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { describe, expect, inject, it } from 'vitest'
import { openServer } from '../../support/world.ts'
import { apart } from './apart.ts'

const root = join(import.meta.dirname, '../..')
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.test.ts'),
)
const ofEveryRun = files.filter((file) => !/^(unit|system|long)\//.test(file))
const source = (file: string) => readFileSync(join(root, file), 'utf8')

describe('behind the pooler', () => {
  it('every test file runs but those that are named as apart', () => {
    expect(
      inject('behindPooler')
        .filter((file) => !file.startsWith('system/'))
        .sort(),
    ).toEqual(ofEveryRun.filter((file) => !apart.includes(file)).sort())
  })

  it('every pool of a server is', async () => {
    const { pools, close } = await openServer()
    for (const pool of Object.values(pools)) {
      const client = (await pool.connect()) as pg.PoolClient & { processID: number }
      const { rows } = await client.query('select pg_backend_pid() as pid')
      client.release()
      // A pooler gives its clients process ids of its own.
      expect(rows[0].pid).not.toBe(client.processID)
    }
    await close()
  })

  it('no file is apart that is not there, or that opens a server', () => {
    expect(apart.filter((file) => !ofEveryRun.includes(file))).toEqual([])
    expect(apart.filter((file) => /\b(openServer|sharedWorld|buildApp)\b/.test(source(file)))).toEqual([])
  })

  it('no test does something else because of it', () => {
    expect(ofEveryRun.filter((file) => /pooler/i.test(source(file)))).toEqual([])
  })
})

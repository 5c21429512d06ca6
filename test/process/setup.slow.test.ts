/**
 * Setting a database up again mends what a login can do to itself, and the logins of the embedded database
 * reach no other of its cluster.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, inject, it } from 'vitest'
import { CATALOGUE } from '../../src/database/catalogue/self-check.ts'
import { openLocalDatabase } from '../../src/database/local.ts'
import { roleNames } from '../../src/database/role-names.ts'
import { asAdmin, loginUrl, prepare, separateDatabase } from '../support/database.ts'

it('takes back what a login set, and what it gave in advance', async () => {
  const main = inject('database')
  const database = { ...(await separateDatabase(main, 'setup')), rolePrefix: `${main.rolePrefix}setup_` }
  const roles = roleNames(database.rolePrefix)
  await prepare(database)
  await asAdmin(loginUrl(database, 'server'), async (client) => {
    await client.query(
      `alter role ${roles.server} set search_path = pg_temp; alter role ${roles.server} set statement_timeout = '1ms'`,
    )
    await client.query('alter default privileges in schema public grant all on tables to public')
    await client.query(`alter default privileges grant execute on functions to ${roles.user}`)
  })
  const findings = () =>
    asAdmin(database.adminUrl, async (client) => {
      const found = []
      for (const { check } of [CATALOGUE.settings, CATALOGUE.roles, CATALOGUE.grantsElsewhere])
        found.push(...(await check(client, roles)).findings)
      return found
    })
  expect(await findings()).not.toEqual([])
  await prepare(database)
  expect(await findings()).toEqual([])
})

it('gives each login its limits back in the transaction that takes its settings away: it never has none', async () => {
  const main = inject('database')
  // Roles of its own: other tests set what logins can.
  const database = { ...(await separateDatabase(main, 'limits')), rolePrefix: `${main.rolePrefix}limits_` }
  await prepare(database)
  await prepare(database)
  await asAdmin(database.adminUrl, async (client) => {
    const { server, auth, admin } = roleNames(database.rolePrefix)
    const { rows } = await client.query(
      `select s.setconfig::text[] @> '{temp_file_limit=512MB,statement_timeout=5s}' as whole, s.xmin = r.xmin as "atOnce"
        from pg_authid r join pg_db_role_setting s on s.setrole = r.oid where r.rolname = any ($1)`,
      [[server, auth, admin]],
    )
    expect(rows).toEqual(Array(3).fill({ whole: true, atOnce: true }))
  })
})

it('leaves no other database of the embedded cluster to the logins', { timeout: 60_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'netpilot-test-'))
  const { urls, dataDir, stop } = await openLocalDatabase(directory, 'netpilot_')
  try {
    for (const url of Object.values(urls))
      for (const other of ['postgres', 'template1']) {
        const client = new pg.Client({
          connectionString: Object.assign(new URL(url), { pathname: `/${other}` }).href,
        })
        await expect(client.connect(), `${other} by ${new URL(url).username}`).rejects.toMatchObject({
          code: '42501',
        })
      }
  } finally {
    await stop()
    await Promise.all([directory, dataDir].map((each) => rm(each, { recursive: true, force: true })))
  }
})

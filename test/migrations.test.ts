/** Up, down, up again; any number of runners at once; edited, half-written and missing files noticed. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { isMigrated, migrate, migrateBack, readMigrations } from '../src/database/migrations.ts'
import { openPool } from '../src/database/pool.ts'
import { roleNames } from '../src/database/role-names.ts'
import { explain, refuses, selfCheck } from '../src/database/self-check.ts'
import { setUpDatabase } from '../src/database/setup.ts'
import type { Pools } from '../src/rls/session.ts'
import { asAdmin, loginUrl, separateDatabase, type TestDatabase } from './support/database.ts'

/** Everything of our schemas that a migration can make, as text. */
async function catalogue(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(`
    select concat_ws(' ', 'relation', c.oid::regclass, c.relkind, c.relowner::regrole, c.relacl, c.reloptions, c.relrowsecurity, c.relforcerowsecurity) as line
      from pg_class c where c.relnamespace in ('public'::regnamespace, 'ctx'::regnamespace) and c.relkind <> 'i'
    union all select concat_ws(' ', 'column', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attacl,
        pg_get_expr(d.adbin, d.adrelid)) from pg_attribute a join pg_class c on c.oid = a.attrelid
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    union all select concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid)) from pg_index i join pg_class c on c.oid = i.indrelid where c.relnamespace = 'public'::regnamespace
    union all select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint where connamespace = 'public'::regnamespace
    union all select concat_ws(' ', 'policy', polrelid::regclass, polname, polcmd, polroles::regrole[], pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) from pg_policy
    union all select concat_ws(' ', 'function', p.oid::regprocedure, p.proowner::regrole, p.proacl, pg_get_functiondef(p.oid)) from pg_proc p where p.pronamespace = 'ctx'::regnamespace
    union all select concat_ws(' ', 'schema', nspname, nspowner::regrole) from pg_namespace where nspname in ('public', 'ctx', 'drizzle')
    order by 1`)
  return rows.map(({ line }) => line)
}

describe('migrations', () => {
  const main = inject('database')
  let database: TestDatabase
  const options = () => ({ url: loginUrl(database, 'migrator'), rolePrefix: database.rolePrefix })

  beforeAll(async () => {
    database = await separateDatabase(main, 'migrations')
    await setUpDatabase({ adminUrl: database.adminUrl, rolePrefix: database.rolePrefix, passwords: {} })
  })

  it('are applied once, however many runners start at once', async () => {
    const names = (await readMigrations()).map(({ name }) => name)
    expect(await isMigrated(options())).toBe(false)
    const done = await Promise.all(Array.from({ length: 6 }, () => migrate(options())))
    expect(done.filter((applied) => applied.length > 0)).toEqual([names])
    expect(await isMigrated(options())).toBe(true)
  })

  it('lead back, one by one, to what was there before, and forth again to the same', async () => {
    const names = (await readMigrations()).map(({ name }) => name)
    await asAdmin(database.adminUrl, async (client) => {
      const steps: string[][] = []
      await migrateBack(null, options())
      steps.push(await catalogue(client))
      expect(steps[0]?.filter((line) => !line.startsWith('schema'))).toEqual([])
      for (const name of names) {
        await migrate(options())
        await migrateBack(name, options())
        steps.push(await catalogue(client))
      }
      for (const [index, name] of [...names.entries()].reverse()) {
        expect(await migrateBack(names[index - 1] ?? null, options())).toEqual([name])
        expect(await catalogue(client), `after the way back of ${name}`).toEqual(steps[index])
      }
      await migrate(options())
      expect(await catalogue(client)).toEqual(steps.at(-1))
    })
  })

  it('are repeated by setting the database up again, without a change', async () => {
    await asAdmin(database.adminUrl, async (client) => {
      const before = await catalogue(client)
      const report = await setUpDatabase({ adminUrl: database.adminUrl, rolePrefix: database.rolePrefix, passwords: {} })
      expect(report).toEqual({ created: [], refused: [] })
      expect(await catalogue(client)).toEqual(before)
    })
  })

  it('refuse to go on when an applied file was edited, and what they say to do leads out', async () => {
    const newest = (await readMigrations()).at(-1)?.name ?? ''
    await asAdmin(database.adminUrl, (client) =>
      client.query(`update drizzle.migrations set sha256 = sha256('other') where name = $1`, [newest]),
    )
    const said = await migrate(options()).catch((error: Error) => error.message)
    expect(said).toContain(`Another build of NetPilot migrated this database; its files differ from these: ${newest}.`)
    const refused = await refusalsOf(database)
    expect(refused).toMatch(new RegExp(`migrations: .*\n {2}- applied by another build, whose file differs: ${newest}\n`))
    const [, target] = /^ +npm run migrate -- --back-to (\S+)\n +npm run migrate$/m.exec(String(said)) ?? []
    expect(refused).toContain(`npm run migrate -- --back-to ${target}`)

    expect(await migrateBack(target ?? '', options())).toEqual([newest])
    expect(await migrate(options())).toEqual([newest])
    expect(await refusalsOf(database)).toBe('')
  })

  it('leave nothing of a file that fails, and are not read without a way back', async () => {
    const own = await separateDatabase(main, 'failing')
    await setUpDatabase({ adminUrl: own.adminUrl, rolePrefix: own.rolePrefix, passwords: {} })
    const directory = await mkdtemp(join(tmpdir(), 'netpilot-migrations-'))
    await writeFile(join(directory, '0000_half.sql'), 'create table half (); select 1 / 0;')
    await expect(readMigrations(directory)).rejects.toThrow('0000_half has no way back')
    await writeFile(join(directory, '0000_half.down.sql'), 'drop table half;')
    const half = { url: loginUrl(own, 'migrator'), rolePrefix: own.rolePrefix, directory }
    await expect(migrate(half)).rejects.toThrow('Migration 0000_half failed and was rolled back: division by zero')
    await asAdmin(own.adminUrl, async (client) => {
      expect((await client.query(`select to_regclass('public.half') as found`)).rows).toEqual([{ found: null }])
      expect((await client.query('select from drizzle.migrations')).rowCount).toBe(0)
    })
    await rm(directory, { recursive: true })
  })
})

/** Why a server would not serve from a database with these connection strings, or with the ones that set-up gives; empty when it would. */
async function refusalsOf(database: TestDatabase, urls: Partial<Record<keyof Pools, string>> = {}): Promise<string> {
  const poolOf = (role: keyof Pools) =>
    openPool({
      url: urls[role] ?? loginUrl(database, role),
      size: 1,
      acquireTimeoutMs: 1_000,
      applicationName: 'test',
      onIdleError: () => {},
    })
  const pools = { server: poolOf('server'), auth: poolOf('auth'), admin: poolOf('admin') }
  try {
    const sections = await selfCheck(pools, await readMigrations(), roleNames(database.rolePrefix))
    return explain(sections.filter(refuses)).join('\n')
  } finally {
    await Promise.all(Object.values(pools).map((pool) => pool.end()))
  }
}

describe('a database that must not be served from', () => {
  const main = inject('database')

  it('R1 R2 is one whose role is a superuser, or may become the owner, and the reason says what to do', async () => {
    expect(await refusalsOf(main, { server: main.adminUrl })).toMatch(/DATABASE_URL: .* is a superuser[\s\S]*npm run setup/)
    for (const [role, variable] of [
      ['auth', 'DATABASE_AUTH_URL'],
      ['admin', 'DATABASE_ADMIN_URL'],
    ] as const) {
      expect(await refusalsOf(main, { [role]: loginUrl(main, 'migrator') })).toMatch(
        new RegExp(`${variable}: .* owns tables, or may become[\\s\\S]*npm run setup`),
      )
    }
  })

  it('is one that is asked with another role than the one meant for it: the prefix, or the strings, are mixed up', async () => {
    expect(await refusalsOf(main, { server: loginUrl(main, 'auth') })).toMatch(
      /DATABASE_URL names the role .*auth, but .*server is needed[\s\S]*DATABASE_ROLE_PREFIX/,
    )
  })

  it('R2 is one whose role bypasses row security', async () => {
    expect(await refusalsOf(main, { server: loginUrl(main, 'backup') })).toContain('BYPASSRLS')
  })

  it('is one that was never migrated, or by a newer version', async () => {
    const other = await separateDatabase(main, 'empty')
    await setUpDatabase({ adminUrl: other.adminUrl, rolePrefix: other.rolePrefix, passwords: {} })
    expect(await refusalsOf(other)).toMatch(/missing: 0000_identity\n[\s\S]*npm run migrate/)
    await migrate({ url: loginUrl(other, 'migrator'), rolePrefix: other.rolePrefix })
    expect(await refusalsOf(other)).toBe('')
    await asAdmin(other.adminUrl, (client) =>
      client.query(`insert into drizzle.migrations (name, sha256) values ('9999_later', sha256('x'))`),
    )
    expect(await refusalsOf(other)).toMatch(/unknown, of a newer version: 9999_later\n[\s\S]*back-to/)
  })

  it('is not the one that this run uses', async () => {
    expect(await refusalsOf(main)).toBe('')
  })
})

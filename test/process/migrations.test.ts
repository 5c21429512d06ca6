/** Up, down, up again; any number of runners at once; edited, half-written and missing files noticed. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { explain, refuses, selfCheck } from '../../src/database/catalogue/self-check.ts'
import { isMigrated, migrate, migrateBack, readMigrations } from '../../src/database/migrations/runner.ts'
import { createPool } from '../../src/database/pool.ts'
import { roleNames } from '../../src/database/role-names.ts'
import { setUpDatabase } from '../../src/database/setup.ts'
import type { Pools } from '../../src/rls/transaction.ts'
import { asAdmin, loginUrl, separateDatabase, type TestDatabase } from '../support/database.ts'

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

  it('lead back, one by one, to what was there before, and forth again to the same', {
    timeout: 60_000,
  }, async () => {
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
      const report = await setUpDatabase({
        adminUrl: database.adminUrl,
        rolePrefix: database.rolePrefix,
        passwords: {},
      })
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
    expect(said).toContain(
      `Another build of NetPilot migrated this database; its files differ from these: ${newest}.`,
    )
    const refused = await refusalsOf(database)
    expect(refused).toMatch(
      new RegExp(`migrations: .*\n {2}- applied by another build, whose file differs: ${newest}\n`),
    )
    const [, target] = /^ +npm run migrate -- --back-to (\S+)\n +npm run migrate$/m.exec(String(said)) ?? []
    expect(refused).toContain(`npm run migrate -- --back-to ${target}`)

    expect(await migrateBack(target ?? '', options())).toEqual([newest])
    expect(await migrate(options())).toEqual([newest])
    expect(await refusalsOf(database)).toBe('')
  })

  it('try again when they and somebody else wait for each other', async () => {
    const own = await separateDatabase(main, 'deadlock')
    await setUpDatabase({ adminUrl: own.adminUrl, rolePrefix: own.rolePrefix, passwords: {} })
    const directory = await mkdtemp(join(tmpdir(), 'netpilot-migrations-'))
    await writeFile(join(directory, '0000_both.sql'), 'lock table first; lock table second;')
    await writeFile(join(directory, '0000_both.down.sql'), '')
    await asAdmin(own.adminUrl, async (client) => {
      const { owner } = roleNames(own.rolePrefix)
      for (const table of ['first', 'second'])
        await client.query(`create table ${table} (); alter table ${table} owner to ${owner}`)
      // The migration is the one that gives up.
      await client.query(`set deadlock_timeout = '1min'; begin; lock table second`)
      const migrated = migrate({ url: loginUrl(own, 'migrator'), rolePrefix: own.rolePrefix, directory })
      while (
        (await client.query(`select from pg_locks where relation = 'second'::regclass and not granted`))
          .rowCount !== 1
      );
      await client.query('lock table first; commit')
      expect(await migrated).toEqual(['0000_both'])
    })
    await rm(directory, { recursive: true })
  })

  it('leave nothing of a file that fails, and are not read without a way back', async () => {
    const own = await separateDatabase(main, 'failing')
    await setUpDatabase({ adminUrl: own.adminUrl, rolePrefix: own.rolePrefix, passwords: {} })
    const directory = await mkdtemp(join(tmpdir(), 'netpilot-migrations-'))
    await writeFile(join(directory, '0000_half.sql'), 'create table half (); select 1 / 0;')
    await expect(readMigrations(directory)).rejects.toThrow('0000_half has no way back')
    await writeFile(join(directory, '0000_half.down.sql'), 'drop table half;')
    const half = { url: loginUrl(own, 'migrator'), rolePrefix: own.rolePrefix, directory }
    await expect(migrate(half)).rejects.toThrow(
      'Migration 0000_half failed and was rolled back: division by zero',
    )
    await asAdmin(own.adminUrl, async (client) => {
      expect((await client.query(`select to_regclass('public.half') as found`)).rows).toEqual([
        { found: null },
      ])
      expect((await client.query('select from drizzle.migrations')).rowCount).toBe(0)
    })
    await rm(directory, { recursive: true })
  })
})

/**
 * Every file that databases may have by now, as `sha256sum *.sql` in drizzle/ prints it. A line is added with
 * a migration, and then never changed.
 */
const RELEASED = `
dcbbc005118912988405170281c2812c3fe1eb814c50137480aa710cdad4fbea  0000_identity.down.sql
e4c524f8fefb82bc012777107429ede53834dc37d306d45def7aba44d14e68e5  0000_identity.sql
8584d6becfa88c4d6f189713187c2317d26b05e4ffa03cfd9cdbe7166de26eec  0001_tables.down.sql
bcb2b3cb61b780579c1bacce1997594da1bb35271af249768f3d500787cc971b  0001_tables.sql
4eab8651bdb204817b86dae648efeea110482229045c0becd4c0b75214d7dd37  0002_guards.down.sql
76a08ea0644e45174ed62e867ff32d7717182669b8996a54ff9959a85366b966  0002_guards.sql
b774020660ac3f590bd5f107f59cff797dad52c3b77284a504ecfd444674a53e  0003_seal.down.sql
b5246ea226f326bd6841162a23445c7f3dce4ba44646cbe44af6961b5a359d7b  0003_seal.sql
453df2d928599dfefbc1b299f5131853f7a668133980601f4581585c7225d79b  0004_accounts.down.sql
483536d4c23f2b9f24ed5f4dd5495682ad08dab98a44a659e36b704b6bfe0dc4  0004_accounts.sql
79d06d7fe33d03cab715e7e31aa45f088657a45ea133b2882ac621469fb7dbf8  0005_account_guards.down.sql
72916be30e3e6866a33f499b2f2069d6be61fc95ee3f1f72a9b974acafb65da2  0005_account_guards.sql
a8b4e55441f7f464c5bed8d5add2a769f4fc1be0ce10bf0c9fdd641c9dc53d5f  0006_audit_chains.down.sql
b1b79399bac02e64328fbcea8ba8d28548b245680b6313d30195665ad9399fd9  0006_audit_chains.sql
27dc20a29aa584239f71d3472662bfff134d582fca61eeba77354021276b7325  0007_policies.down.sql
6cd4b2cd3911776793ea9a9722c91d2589e3c44d7a3b47a5a69362e734c71460  0007_policies.sql
46cc6e9e07476eee78791b726bdc1a66f27112ef79457d8bf2a2e0b668dcec18  0008_lookups.down.sql
722cc94b45a63d746d3d18d12b156ffda986fbcf322a38189a5cfefb3bc0ea0a  0008_lookups.sql
7b6bd1c9cca10e00c84b3241c525f475d5cd4b8a1ee74489a4d9c0a9c3cd1859  0009_scan_retention.down.sql
7b4402dd1787347fca1392402bc153939acfad64e0af97fb620b92d86a45e112  0009_scan_retention.sql
f95d74bfb31300613e9437b6ed6bb62786e106308afda60baaa53f29d56153f1  0010_proofs.down.sql
0de97f3b44ec6cc054cbd3b94c593aacdeb2d15362bf9b03b07e83a047153a91  0010_proofs.sql
65c2836c37cf573e3fc80b27676cf593f955d8bc05273e01418e5a5e93b8497d  0011_required_factor.down.sql
345f635901cd172f5556c8c3de01e100e3ba9117200e4aa9a0f31b7a38891990  0011_required_factor.sql
86cbbd7831fe3879b84afc84317806f1630371346ac3d0a2014c63f42fc5fd62  0012_wake_by_auth.down.sql
cb09395a8252dd5a12849b197614fd07cc9ed5e549b654c2a05a36af85326108  0012_wake_by_auth.sql
42a04ab3a84985ab5fa8ed60804e057b094aa720869a60181e4b1fc77a51bc63  0013_session_limit.down.sql
e36cbc18096b9f19a1bb9c29e4106b4f973449f33793422c802dff57b1e62a2e  0013_session_limit.sql
8496004b8e7073183d2bc70bf2a18ed5b309a026e6f5c1df6f34dc20a7c22f6f  0014_wake_digest.down.sql
877a78c8e7b6220eb4c3355be85360638193104d911c0caaab74bb517841491e  0014_wake_digest.sql
9cdd50b054401b65d28c08c3331828803d7b881ecb3b879b804ca5e289d914c6  0015_closed_acts.down.sql
b179e85155bd8bf837013d8f7b0e14287083381625a30867ac540d2788a16f26  0015_closed_acts.sql
94de08cd6de24e56a2b66e9eea2ea0e53079834b6d14c3a2d0f6e04b3016745c  0016_ranges.down.sql
54160d7e455644b88b5ccefbafc8b8d965f4ba16be85af663ca8a2463c44a962  0016_ranges.sql
3649555b483c50c4a7c5230da5fb3722b3cc508e9cc115749c32f06a0d79c461  0017_identities.down.sql
03e4d4a5d3963a139a1a28954f5286599f55c401c80c7650d97a1434a0adfec1  0017_identities.sql
a93dd1045291c038c741f079f5d89bd164126da7386f21042c7653bd20813600  0018_functions_by_value.down.sql
bbda0d5858b6581da8e0841100e7d580f5b7597a98e3d9711bce8d5f969098fe  0018_functions_by_value.sql
`

describe('a released migration', () => {
  it('is never edited: a database that has it would take no later one', async () => {
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
    const files = (await readMigrations()).flatMap(({ name, up, down }) => [
      `${sha256(down)}  ${name}.down.sql`,
      `${sha256(up)}  ${name}.sql`,
    ])
    const released = RELEASED.trim().split('\n')
    const edited = released.filter((line) => !files.includes(line)).map((line) => line.split('  ')[1])
    expect(
      edited,
      'These files were released: restore them, and write a new migration for what is to change',
    ).toEqual([])
    const added = files.filter((line) => !released.includes(line))
    expect(added, 'These files are new: add their lines to RELEASED when they are done').toEqual([])
  })
})

/**
 * Why a server would not serve from a database with these connection strings, or with the ones that set-up
 * gives; empty when it would.
 */
async function refusalsOf(
  database: TestDatabase,
  urls: Partial<Record<keyof Pools, string>> = {},
): Promise<string> {
  const poolOf = (role: keyof Pools) =>
    createPool({
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
    expect(await refusalsOf(main, { server: main.adminUrl })).toMatch(
      /DATABASE_URL: .* is a superuser[\s\S]*npm run setup/,
    )
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

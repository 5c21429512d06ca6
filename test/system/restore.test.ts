/**
 * The way of docs/operate.md to copy a database, with the tools of the machine: everything comes along, and
 * the copy is served.
 */

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Secrets } from '../../src/auth/auth.ts'
import { setUpDatabase } from '../../src/database/setup.ts'
import {
  asAdmin,
  loginUrl,
  makeTestDatabase,
  separateDatabase,
  type TestDatabase,
} from '../support/database.ts'
import { OLDER_VERSIONS, startVersion } from '../support/postgresql.ts'
import { openServer, worldOf } from '../support/world.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
let directory: string
let database: TestDatabase
const closing: (() => Promise<void>)[] = []

beforeAll(async () => {
  const { stdout } = await run('pg_dump', ['--version']).catch(() => {
    throw new Error('This test needs pg_dump and pg_restore (Debian: postgresql-client)')
  })
  // pg_dump refuses a server that is newer than itself.
  const [, major] = /(\d+)\./.exec(stdout) ?? []
  const older = OLDER_VERSIONS.find((version) => version.startsWith(`${major}.`))
  const server = older === undefined ? undefined : await startVersion(older)
  if (server) {
    closing.push(server.stop)
    // As the embedded start does: the doctor would warn of databases without a fence.
    await asAdmin(server.url, (client) =>
      client.query('revoke connect on database postgres, template1 from public'),
    )
  }
  directory = await mkdtemp(join(tmpdir(), 'netpilot-restore-'))
  closing.push(() => rm(directory, { recursive: true }))
  const made = await makeTestDatabase(server?.url)
  closing.push(made.close)
  database = made.database
}, 300_000)
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

const secretsOf = ({ jwt, pepper }: Secrets) => ({
  JWT_SECRET: jwt.current,
  PASSWORD_PEPPER: pepper.current,
})
const rowsOf = ({ adminUrl }: TestDatabase) =>
  asAdmin(adminUrl, async (client) => {
    const { rows: tables } = await client.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'ctx', 'drizzle') order by 1`,
    )
    const counted: Record<string, unknown[]> = {}
    for (const { name } of tables)
      counted[name] = (
        await client.query(`select row_to_json(t)::text as row from ${name} t order by 1`)
      ).rows
    return counted
  })

it('is restored without an error into a database that was set up, and serves', {
  timeout: 300_000,
}, async () => {
  const [, flags = ''] =
    /`pg_restore ((?:--[a-z-]+ ?)+)`/.exec(await readFile(join(root, 'docs/operate.md'), 'utf8')) ?? []
  const server = await openServer({}, database)
  const ada = await worldOf(server).person()
  const router = await ada.router()
  await router.scan(['00:00:5e:00:53:01', '00:00:5e:00:53:02'])
  await server.close()
  const rows = await rowsOf(database)

  const dump = join(directory, 'netpilot.dump')
  await run('pg_dump', ['--format=custom', `--file=${dump}`, loginUrl(database, 'backup')])
  const copy = await separateDatabase(database, 'copy')
  const { password } = database
  const passwords = {
    migrator: password,
    server: password,
    auth: password,
    admin: password,
    backup: password,
    monitor: password,
  }
  await setUpDatabase({ adminUrl: copy.adminUrl, rolePrefix: copy.rolePrefix, passwords })
  const restore = (options: string[]) => run('pg_restore', [...options, `--dbname=${copy.adminUrl}`, dump])
  await expect(restore(['--single-transaction'])).rejects.toMatchObject({
    stderr: expect.stringContaining('already exists'),
  })
  expect((await restore(flags.split(' '))).stderr).toBe('')
  expect(await rowsOf(copy)).toEqual(rows)
  expect(rows['public.user_devices']).toHaveLength(2)

  // What was dumped is lost; beside it the doctor would warn that the same logins reach both.
  await asAdmin(copy.adminUrl, (client) =>
    client.query(`drop database ${new URL(database.adminUrl).pathname.slice(1)} with (force)`),
  )
  const doctor = await run(process.execPath, ['src/cli/doctor.ts'], {
    cwd: root,
    env: {
      PATH: process.env.PATH,
      DATABASE_ROLE_PREFIX: copy.rolePrefix,
      DATABASE_URL: loginUrl(copy, 'server'),
      DATABASE_AUTH_URL: loginUrl(copy, 'auth'),
      DATABASE_ADMIN_URL: loginUrl(copy, 'admin'),
      DATABASE_MIGRATE_URL: loginUrl(copy, 'migrator'),
      ...secretsOf(server.secrets),
    },
  })
  expect(doctor.stdout).toContain('Nothing found.')
  const again = await openServer({}, copy, { secrets: server.secrets })
  closing.push(again.close)
  const { email } = ada
  const signedIn = await worldOf(again).send('POST', '/api/auth/login', {
    body: { email, password: ada.password },
  })
  expect(signedIn.statusCode).toBe(200)
})

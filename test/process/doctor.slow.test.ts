/**
 * A start that looks before it serves, and the doctor that looks at any time: as processes, on a database
 * whose faults are really there.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { versionFindings } from '../../src/database/catalogue/self-check.ts'
import { migrate } from '../../src/database/migrations/runner.ts'
import { roleNames } from '../../src/database/role-names.ts'
import { setUpDatabase } from '../../src/database/setup.ts'
import { conditionOf } from '../../src/rls/policies.ts'
import { asAdmin, loginUrl, prepare, separateDatabase, type TestDatabase } from '../support/database.ts'

const root = join(import.meta.dirname, '../..')
const main = inject('database')
const secrets = { JWT_SECRET: 'j'.repeat(48), PASSWORD_PEPPER: 'p'.repeat(48) }
/** What the doctor finds where nothing is wrong. */
const IN_ORDER = inject('hasOpenNeighbours')
  ? {
      code: 2,
      said: 'otherDatabases: check failed\\. Expected: .*\\n( {2}- .* may connect to the database .*\\n)+ {2}.*',
    }
  : { code: 0, said: 'Nothing found\\.' }
const running = new Set<ChildProcess>()
afterAll(() => {
  for (const child of running) child.kill('SIGKILL')
})

const environment = (database: TestDatabase) => ({
  DATABASE_URL: loginUrl(database, 'server'),
  DATABASE_AUTH_URL: loginUrl(database, 'auth'),
  DATABASE_ADMIN_URL: loginUrl(database, 'admin'),
  DATABASE_MIGRATE_URL: loginUrl(database, 'migrator'),
  DATABASE_ROLE_PREFIX: database.rolePrefix,
  ...secrets,
})
const inOrder = (env: Record<string, string | undefined>) => ({
  cwd: root,
  env: { PATH: process.env.PATH, PORT: '0', HOST: '127.0.0.1', SHUTDOWN_NOTICE_MS: '0', ...env },
})

type Ended = { code: number; output: string }

/** What a command says on both streams, and how it exits. */
const command = (args: string[], env: Record<string, string | undefined>): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(process.execPath, args, inOrder(env), (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr })
    })
  })
const doctor = (env: Record<string, string | undefined>) => command(['src/cli/doctor.ts'], env)

/** Starts a server, and stops it as soon as it serves. */
async function start(env: Record<string, string | undefined>): Promise<Ended> {
  const child = spawn(process.execPath, ['src/server.ts'], {
    ...inOrder(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk
      if (output.includes('Ctrl-C stops it.')) child.kill('SIGTERM')
    })
  }
  const [code] = await once(child, 'close')
  running.delete(child)
  return { code, output }
}

/** The five of the promise, and the seal. */
const FAULTS: [fault: string, planted: string, takenBack: string, ...named: string[]][] = [
  [
    'a policy that is true',
    'alter policy user_devices_user on user_devices using (true)',
    `alter policy user_devices_user on user_devices using (${conditionOf('own')})`,
    'policies: check failed. Expected: the database has the policies that are meant',
    'not meant: policy user_devices_user on user_devices for ALL to user using true',
  ],
  [
    'row security that does not bind the owner',
    'alter table user_devices no force row level security',
    'alter table user_devices force row level security',
    'relations: check failed. Expected: the database has tables of the owner only, each with row security enabled and forced',
    'missing: table user_devices of owner with row security, forced',
    'FORCE ROW LEVEL SECURITY',
  ],
  [
    'a key without user_id',
    'alter table user_login_sessions add constraint planted unique (public_id)',
    'alter table user_login_sessions drop constraint planted',
    'not meant: key planted of user_login_sessions: UNIQUE (public_id)',
    'not meant: index planted of user_login_sessions not led by user_id',
  ],
  [
    'a function that is IMMUTABLE',
    'alter function ctx.uid() immutable',
    'alter function ctx.uid() stable',
    'functions: check failed. Expected: the database has identity functions that are definers with a fixed path, never IMMUTABLE',
    'not meant: function ctx.uid() IMMUTABLE',
  ],
  [
    'a grant of TRUNCATE',
    'grant truncate on user_devices to "PREFIXuser"',
    'revoke truncate on user_devices from "PREFIXuser"',
    'and nobody TRUNCATE',
    'not meant: grant user TRUNCATE user_devices',
    'REVOKE',
  ],
  [
    'a seal without its key',
    'truncate ctx.seal_key',
    `insert into ctx.seal_key (inner_key, outer_key) select string_agg(uuid_send(gen_random_uuid()), ''), string_agg(uuid_send(gen_random_uuid()), '')
      from generate_series(1, 4)`,
    'seal: check failed. Expected: the database refuses an identity that was forged',
    'insert a new one as drizzle/0003_seal.sql does',
  ],
]

// A database and roles of its own: faults that are really there disturb no other file.
let database: TestDatabase
beforeAll(async () => {
  database = { ...(await separateDatabase(main, 'doctor')), rolePrefix: `${main.rolePrefix}doctor_` }
  await prepare(database)
})
const plant = (statements: string) =>
  asAdmin(database.adminUrl, (client) => client.query(statements.replaceAll('PREFIX', database.rolePrefix)))

describe('a database that is in order', () => {
  it('is found so, in a table, by the doctor, who says what it was not given', async () => {
    const { DATABASE_MIGRATE_URL: _, ...withoutMigrator } = environment(database)
    const whole = await doctor(environment(database))
    expect(whole).toMatchObject({
      code: IN_ORDER.code,
      output: expect.stringMatching(/^check +looked at {2}found\nconfiguration +5 {2}-\nlogins +4 {2}-\n/),
    })
    expect(whole.output).toMatch(
      new RegExp(`\\naudit +\\d+ {2}-\\nlookups +\\d+ {2}-\\n\\n${IN_ORDER.said}\\n$`),
    )
    const part = await command(['src/cli/netpilot.ts', 'doctor'], withoutMigrator)
    expect(part).toMatchObject({ code: IN_ORDER.code, output: expect.stringMatching(/logins +3 {2}-/) })
    expect(part.output).toMatch(
      new RegExp(`The audit log was not read: .*DATABASE_MIGRATE_URL.*\\n\\n${IN_ORDER.said}`),
    )
    expect(await command(['src/cli/netpilot.ts', 'cure'], {})).toEqual({
      code: 1,
      output: expect.stringContaining('netpilot doctor'),
    })
  })

  it('is served from without a warning', async () => {
    const { code, output } = await start(environment(database))
    expect(code).toBe(0)
    const warned = [...output.matchAll(/"check":"(\w+)"/g)].map(([, check]) => check)
    expect(warned).toEqual(inject('hasOpenNeighbours') ? ['otherDatabases'] : [])
  })
})

describe('a database with a fault', () => {
  it.each(FAULTS)(
    'R43 is not served from, and the doctor names it: %s',
    async (_fault, planted, takenBack, ...named) => {
      await plant(planted)
      try {
        const [started, examined] = await Promise.all([
          start(environment(database)),
          doctor(environment(database)),
        ])
        expect([started.code, examined.code]).toEqual([1, 1])
        expect(started.output).toContain("NetPilot does not start: one person's rows might show to another")
        for (const { output } of [started, examined])
          for (const words of named) expect(output).toContain(words)
      } finally {
        await plant(takenBack)
      }
      expect((await doctor(environment(database))).code).toBe(IN_ORDER.code)
    },
  )

  it('is not one for what only an operator need know: the server says so and starts, and the doctor exits with 2', async () => {
    await plant(`create schema planted; alter role "PREFIXserver" set statement_timeout to '9s'`)
    try {
      const [started, examined] = await Promise.all([
        start(environment(database)),
        doctor(environment(database)),
      ])
      expect([started.code, examined.code]).toEqual([0, 2])
      expect(started.output).toContain("warnings     of the database's relations, settings")
      for (const { output } of [started, examined])
        for (const words of ['not meant: schema planted', 'not meant: setting server statement_timeout=9s'])
          expect(output).toContain(words)
    } finally {
      await plant(`drop schema planted; alter role "PREFIXserver" set statement_timeout to '5s'`)
    }
  })

  it.each([
    ['behind', 45],
    ['ahead of', -45],
  ])(
    'is not one for a clock that is %s this machine’s: the server says so and starts, and the doctor exits with 2',
    async (word, seconds) => {
      const shift = (by: number) => `const now = Date.now; Date.now = () => now() + ${by * 1_000}`
      const at = (by: number) => ({
        ...environment(database),
        NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(shift(by))}`,
      })
      const env = at(seconds)
      const [started, examined] = await Promise.all([start(env), doctor(env)])
      expect([started.code, examined.code]).toEqual([0, 2])
      for (const { output } of [started, examined]) {
        expect(output).toMatch(new RegExp(`the database's clock is 4[3-7] seconds ${word} this machine's`))
        expect(output).toContain('NTP')
      }
      expect((await doctor(at(seconds / 3))).code).toBe(IN_ORDER.code)
    },
  )

  it('L14 is named where somebody wrote to the audit log past its pen', async () => {
    const somebody = '3f2a0b6e-6c1d-4a52-9b7e-1d2c3b4a5f60'
    const act = `select ctx.append_act('${somebody}', 'user', '${somebody}', 'user.login', null, null, 'success', null, null);`
    await plant(act.repeat(3))
    expect(await doctor(environment(database))).toMatchObject({
      code: IN_ORDER.code,
      output: expect.stringMatching(/audit +3 {2}-/),
    })
    await plant(`delete from user_audit_log where user_id = '${somebody}' and sequence = 2`)
    const { code, output } = await doctor(environment(database))
    expect(code).toBe(1)
    expect(output).toMatch(/audit +2 {2}1 error/)
    expect(output).toContain(`the log of the user ${somebody} is broken at entry 3`)
    await plant(
      `delete from user_audit_log where user_id = '${somebody}'; delete from user_audit_heads where user_id = '${somebody}'`,
    )
  })

  it('is named where the look-up tables and the accounts say different things', async () => {
    const [lost, stray] = ['7a1e9c30-5b2d-4f68-8c1a-2e3d4f5a6b7c', 'c0ffee00-1d2e-4f3a-9b8c-7d6e5f4a3b2c']
    const reset = `delete from users where id = '${lost}'; delete from user_emails where user_id in ('${lost}', '${stray}');
      delete from user_identities where user_id in ('${lost}', '${stray}')`
    await plant(`insert into users (id, email) values ('${lost}', 'lost@example.com');
      insert into user_providers (user_id, provider, subject) values ('${lost}', 'oidc', 'lost');
      insert into user_emails (email, user_id) values ('stray@example.com', '${stray}');
      insert into user_identities (provider, subject, user_id) values ('google', 'stray', '${stray}')`)
    const { code, output } = await doctor(environment(database))
    await plant(reset)
    expect(code).toBe(1)
    expect(output).toMatch(/lookups +\d+ {2}4 errors/)
    for (const said of [
      `${lost} is not found by its address`,
      `${lost} is not found by its account at oidc`,
      `${stray} is found by an address that it does not have`,
      `${stray} is found by an account at google that it is not linked to`,
    ])
      expect(output).toContain(`the user ${said}`)
  })

  it('is not one where a log begins anew after a migration was undone: the doctor tells whose and since when, and exits with 2', async () => {
    const somebody = '5b0e7c1d-98f2-4c3a-8d67-0a1b2c3d4e5f'
    const act = `select ctx.append_act('${somebody}', 'user', '${somebody}', 'user.login', null, null, 'success', null, null);`
    await plant(
      `${act.repeat(3)} update user_audit_heads set hash = null where user_id = '${somebody}'; ${act}`,
    )
    const { code, output } = await doctor(environment(database))
    expect(code).toBe(2)
    expect(output).toMatch(/audit +4 {2}1 warning/)
    expect(output).toMatch(
      new RegExp(`the log of the user ${somebody} begins anew at entry 4, of \\d{4}-.*Z: .*\\(entries: 3\\)`),
    )
    await plant(
      `delete from user_audit_log where user_id = '${somebody}'; delete from user_audit_heads where user_id = '${somebody}'`,
    )
  })

  it('is told from a configuration with one: what is missing, what is too short, whom a string names, and where it leads', async () => {
    const { JWT_SECRET: _, DATABASE_ADMIN_URL: __, ...partial } = environment(database)
    const wrong = new URL(loginUrl(database, 'auth'))
    wrong.pathname = '/nowhere'
    const { code, output } = await doctor({
      ...partial,
      DATABASE_URL_DIRECT: loginUrl(database, 'auth'),
      DATABASE_AUTH_URL: wrong.href,
    })
    expect(code).toBe(1)
    expect(output).toMatch(/configuration +5 {2}2 errors\nlogins +4 {2}2 errors/)
    for (const words of [
      'JWT_SECRET is missing',
      'DATABASE_ADMIN_URL is missing',
      'DATABASE_URL_DIRECT names the role',
      'DATABASE_AUTH_URL: ',
    ])
      expect(output).toContain(words)
    expect(output).not.toContain(database.password)
    const weak = await doctor({ ...environment(database), PASSWORD_PEPPER: 'short' })
    expect(weak).toMatchObject({ code: 1, output: expect.stringContaining('PASSWORD_PEPPER is too short') })
  })
})

describe('a database of a host that has no superuser to give', () => {
  const rolePrefix = `${main.rolePrefix}hosted_`
  const name = `${main.rolePrefix}hosted`
  const dba = `${rolePrefix}dba`
  afterAll(() =>
    asAdmin(main.adminUrl, async (client) => {
      await client.query(`drop database if exists ${name} with (force)`)
      // In this order: who administers the roles has granted some of them.
      for (const role of [...Object.values(roleNames(rolePrefix)), dba])
        await client.query(`drop role if exists ${role}`)
    }),
  )

  it('is served from, with a warning that names what of the fence stays open', async () => {
    const hosted = { ...(await separateDatabase(main, 'hosted')), rolePrefix }
    const { password } = main
    await asAdmin(main.adminUrl, async (client) => {
      await client.query(`create role ${dba} login createrole createdb password '${password}'`)
      await client.query(`alter database ${name} owner to ${dba}`)
    })
    const adminUrl = Object.assign(new URL(hosted.adminUrl), { username: dba, password }).href
    const passwords = { migrator: password, server: password, auth: password, admin: password }
    const { refused } = await setUpDatabase({ adminUrl, rolePrefix, passwords })
    expect(refused.join('\n')).toContain('set_config')
    await migrate({ url: loginUrl(hosted, 'migrator'), rolePrefix })

    const [started, examined] = await Promise.all([start(environment(hosted)), doctor(environment(hosted))])
    expect([started.code, examined.code]).toEqual([0, 2])
    for (const { output } of [started, examined]) {
      expect(output).toContain('Expected: the database keeps everybody from setting a setting')
      for (const open of [
        'set_config(text,text,boolean)',
        'pg_advisory_lock(bigint)',
        'pg_sleep(double precision)',
        'plpgsql',
      ])
        expect(output).toContain(`not meant: fence: PUBLIC ${open}`)
      expect(output).not.toContain('missing: fence')
      expect(output).toContain('missing: setting server temp_file_limit=512MB')
    }
  })
})

describe('a version of PostgreSQL', () => {
  it.each([
    [140_020, '14.20', 'refused'],
    [150_013, '15.13', 'refused'],
    [150_014, '15.14', 'a warning'],
    [150_017, '15.17', 'a warning'],
    [150_018, '15.18', 'as it should be'],
    [160_013, '16.13', 'a warning'],
    [160_014, '16.14', 'as it should be'],
    [170_009, '17.9', 'a warning'],
    [170_010, '17.10', 'as it should be'],
    [180_003, '18.3', 'a warning'],
    [180_004, '18.4', 'as it should be'],
    [190_000, '19.0', 'a warning'],
  ])('R35 is weighed by what was mended in it: %i', (number, name, meaning) => {
    const [finding] = versionFindings(number, name)
    expect(finding ? (finding.isWarning ? 'a warning' : 'refused') : 'as it should be').toBe(meaning)
    if (finding) expect(finding.what).toContain(name)
  })
})

/**
 * An update that is taken back and applied again, with accounts in the database: nobody is kept out, and the
 * log says what it lost.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type TOTP, URI } from 'otpauth'
import pg from 'pg'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { checkAuditLog } from '../../src/database/catalogue/audit-chain.ts'
import { checkLookups } from '../../src/database/catalogue/lookup-gaps.ts'
import { selfCheck } from '../../src/database/catalogue/self-check.ts'
import { migrate, migrateBack, readMigrations } from '../../src/database/migrations/runner.ts'
import { roleNames } from '../../src/database/role-names.ts'
import { setUpDatabase } from '../../src/database/setup.ts'
import { asAdmin, loginUrl, separateDatabase, type TestDatabase } from '../support/database.ts'
import { googleAccount, type StandInGoogle, startGoogle } from '../support/google.ts'
import { type Issuer, issuerAccount, outcomeOf, startIssuer, walkTo } from '../support/oidc-issuer.ts'
import { expectProblem } from '../support/problems.ts'
import {
  type Answer,
  newMac,
  newSecrets,
  openServer,
  type Person,
  type Router,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

const main = inject('database')
const migrations = await readMigrations()
const secrets = newSecrets()

/** A migrated database in which people live, to be copied. */
let home: { database: TestDatabase; people: People }
let google: StandInGoogle
let issuer: Issuer
beforeAll(async () => {
  google = await startGoogle()
  issuer = await startIssuer()
  const database = await separateDatabase(main, 'way_back')
  await setUp(database)
  await migrate(optionsOf(database))
  home = { database, people: await whileServing(database, moveIn) }
  return () => Promise.all([google.close(), issuer.close()])
})

const setUp = ({ adminUrl, rolePrefix }: TestDatabase) =>
  setUpDatabase({ adminUrl, rolePrefix, passwords: {} })
const optionsOf = (database: TestDatabase) => ({
  url: loginUrl(database, 'migrator'),
  rolePrefix: database.rolePrefix,
})
const rowsOf = <Row extends pg.QueryResultRow>(
  { adminUrl }: TestDatabase,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> => asAdmin(adminUrl, async (client) => (await client.query<Row>(text, values)).rows)

async function copyHome(name: string): Promise<TestDatabase> {
  const original = basename(home.database.adminUrl)
  // Nobody may be connected to what is copied, and who may connect is not copied.
  await rowsOf(main, 'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [original])
  const database = await separateDatabase(main, name, original)
  await setUp(database)
  return database
}

/** A server on the database for as long as the work takes; each has the same secrets. */
async function whileServing<T>(
  database: TestDatabase,
  work: (world: World, server: TestServer, database: TestDatabase) => Promise<T>,
) {
  const server = await openServer({ ...google.env, ...issuer.env }, database, { secrets })
  try {
    return await work(worldOf(server), server, database)
  } finally {
    await server.close()
  }
}

/** The errors that the doctor finds, and what it tells of the audit log. */
async function examine(database: TestDatabase, { pools }: TestServer) {
  const roles = roleNames(database.rolePrefix)
  const migrator = new pg.Client({ connectionString: loginUrl(database, 'migrator') })
  await migrator.connect()
  try {
    const audit = await checkAuditLog(migrator, roles)
    const lookups = await checkLookups(migrator, roles)
    const toMend = [...(await selfCheck(pools, migrations, roles)), audit, lookups].flatMap(({ findings }) =>
      findings.filter((f) => !f.isWarning),
    )
    return { toMend, told: audit.findings.filter(({ isWarning }) => isWarning).map(({ what }) => what) }
  } finally {
    await migrator.end()
  }
}

const bearer = ({ accessToken }: { accessToken: string }) => ({
  headers: { authorization: `Bearer ${accessToken}` },
})
/** @returns the body of the answer */
const expectStatus = (answer: Answer, status = 200) => {
  expect(answer.statusCode, answer.body).toBe(status)
  return answer.body && answer.json()
}

type People = {
  /** With a password, a second factor, a router and a script. */
  ada: Person & { app: TOTP; agent: Router; script: string; revokedScript: string }
  /** With Google alone. */
  bob: { id: string; account: ReturnType<typeof googleAccount> }
  /** With an account at the operator's own issuer alone. */
  finn: { id: string; account: ReturnType<typeof issuerAccount> }
  /** Left for a while. */
  cora: Person
  /** Deactivated by an administrator. */
  dan: Person
  /** Everybody who has a log: those above, the administrator, and one who left for good. */
  ids: string[]
}

/** Signs somebody in through the issuer, all the way. */
async function byIssuer({ send }: World, account: ReturnType<typeof issuerAccount>) {
  const { code } = outcomeOf(await walkTo(issuer, send, { account }))
  return expectStatus(await send('POST', '/api/auth/exchange', { body: { code } }))
}

/** @param known whose addresses are to be registered anew */
async function moveIn(
  world: World,
  server: TestServer,
  database: TestDatabase,
  known?: People,
): Promise<People> {
  const { send } = world
  const register = (who?: Person) => world.person(who && { email: who.email, password: who.password })
  const [ada, cora, dan] = [
    await register(known?.ada),
    await register(known?.cora),
    await register(known?.dan),
  ]
  const [root, eve] = [await register(), await register()]

  await server.settled()
  const token = /npt_\w+/.exec(
    server.mails.find(({ to, kind }) => to === ada.email && kind === 'verify-email')?.text ?? '',
  )?.[0]
  expectStatus(await send('POST', '/api/auth/verify-email', { body: { token } }), 204)
  const { uri } = expectStatus(
    await ada.call('POST', '/api/auth/second-factor/setup', { body: { password: ada.password } }),
  )
  const app = URI.parse(uri) as TOTP
  expectStatus(await ada.call('POST', '/api/auth/second-factor/confirm', { body: { code: app.generate() } }))
  const scripts = { body: { scopes: ['devices:read'], password: ada.password } }
  const { key: revokedScript } = expectStatus(await ada.call('POST', '/api/users/keys', scripts), 201)
  const again = { currentPassword: ada.password, newPassword: ada.password, revokeKeys: true }
  expectStatus(await ada.call('POST', '/api/users/change-password', { body: again }), 204)
  const agent = await ada.router()
  expectStatus(await agent.scan([newMac()]))
  const { key: script } = expectStatus(await ada.call('POST', '/api/users/keys', scripts), 201)

  const account = known?.bob.account ?? googleAccount()
  const { user: bob } = expectStatus(
    await send('POST', '/api/auth/google', { body: { idToken: google.idToken(account) } }),
    201,
  )

  const atIssuer = known?.finn.account ?? issuerAccount()
  const { user: finn } = await byIssuer(world, atIssuer)

  await rowsOf(database, `update users set role = 'admin' where id = $1`, [root.id])
  expectStatus(await root.call('PATCH', `/api/admin/users/${dan.id}`, { body: { isActive: false } }))
  expectStatus(await cora.call('POST', '/api/users/deactivate', { body: { password: cora.password } }), 204)
  expectStatus(await eve.call('DELETE', '/api/users/account', { body: { password: eve.password } }), 204)

  const ids = [ada, bob, finn, cora, dan, root, eve].map(({ id }) => id).sort()
  return {
    ada: { ...ada, app, agent, script, revokedScript },
    bob: { id: bob.id, account },
    finn: { id: finn.id, account: atIssuer },
    cora,
    dan,
    ids,
  }
}

/**
 * What opened something before opens it still, what did not does not, and what people do stands in their log.
 */
async function expectAllAsBefore(
  world: World,
  database: TestDatabase,
  { ada, bob, finn, cora, dan }: People,
): Promise<void> {
  const { send } = world
  expectStatus(await send('GET', '/api/auth/me', bearer(ada)))
  await rowsOf(
    database,
    'update user_credentials set totp_last_step = totp_last_step - 10 where user_id = $1',
    [ada.id],
  )
  const login = await send('POST', '/api/auth/login', { body: { email: ada.email, password: ada.password } })
  const { challenge } = expectProblem(login, 401, 'second-factor-required')
  const tokens = expectStatus(
    await send('POST', '/api/auth/second-factor', { body: { challenge, code: ada.app.generate() } }),
  )
  expect(tokens.user).toMatchObject({ id: ada.id, hasPassword: true, emailVerified: true })
  const renewed = expectStatus(
    await send('POST', '/api/auth/refresh', { body: { refreshToken: tokens.refreshToken } }),
  )
  expectStatus(await send('PUT', '/api/settings/locale', { ...bearer(renewed), body: { value: 'en' } }))
  const log = expectStatus(await send('GET', '/api/users/audit-logs?limit=2', bearer(renewed)))
  expect(log.items.map(({ act }: { act: string }) => act)).toEqual(['keepSetting', 'answerChallenge'])

  const router = world.routerOf(ada, ada.agent.id, ada.agent.key, ada.agent.keyId)
  expectStatus(await router.scan([newMac()]))
  expectStatus(await router.call('GET', '/api/agent/policy'))
  expect(
    expectStatus(await send('GET', '/api/devices', { headers: { 'x-api-key': ada.script } })).total,
  ).toBeGreaterThan(1)

  const dead = await send('GET', '/api/devices', { headers: { 'x-api-key': ada.revokedScript } })
  expectProblem(dead, 401, 'unauthenticated')

  const byGoogle = expectStatus(
    await send('POST', '/api/auth/google', { body: { idToken: google.idToken(bob.account) } }),
  )
  expect(byGoogle.user).toMatchObject({ id: bob.id, hasPassword: false })
  expect((await byIssuer(world, finn.account)).user).toMatchObject({ id: finn.id, hasPassword: false })
  // Nobody else can have the address of any of them.
  for (const { email } of [ada, bob.account, finn.account, cora, dan])
    expectProblem(
      await send('POST', '/api/auth/register', { body: { email, password: ada.password } }),
      409,
      'email-taken',
    )

  const reactivate = ({ email, password }: Person) =>
    send('POST', '/api/users/reactivate', { body: { email, password } })
  const back = expectStatus(await reactivate(cora))
  expectStatus(
    await send('POST', '/api/users/deactivate', { ...bearer(back), body: { password: cora.password } }),
    204,
  )
  expectProblem(await reactivate(dan), 401, 'invalid-credentials')
}

/** The owners of the logs that begin anew, as the doctor names them. */
const ownersIn = (told: string[]) =>
  told.map((what) => /^the log of the user (\S+) begins anew at entry \d+, /.exec(what)?.[1])

describe('going back and forth again, with accounts in the database', () => {
  it.each(migrations.map(({ name }, index) => ({ name, index })))(
    'over $name keeps nobody out, once and twice',
    { timeout: 120_000 },
    async ({ index }) => {
      const database = await copyHome(`way_back_${index}`)
      const has = async (table: string) =>
        (await rowsOf(database, 'select from pg_tables where tablename = $1', [table])).length > 0
      let { people } = home
      let restarts = 0
      for (const _time of ['once', 'twice']) {
        await migrateBack(migrations[index - 1]?.name ?? null, optionsOf(database))
        const [keptAccounts, keptHeads] = [await has('users'), await has('user_audit_heads')]
        await migrate(optionsOf(database))
        if (keptAccounts && !keptHeads) restarts += 1

        await whileServing(database, async (world, server) => {
          if (keptAccounts) await expectAllAsBefore(world, database, people)
          else people = await moveIn(world, server, database, people)
          const { toMend, told } = await examine(database, server)
          expect(toMend).toEqual([])
          expect(ownersIn(told)).toEqual(restarts > 0 ? people.ids : [])

          const log = expectStatus(
            await world.send('GET', '/api/users/audit-logs?act=restartAuditChain', bearer(people.ada)),
          )
          const entry = { actorKind: 'system', actorId: null, outcome: 'success', address: null }
          expect(log.items).toMatchObject(Array(restarts).fill(entry))
          for (const { detail } of log.items)
            expect(detail).toEqual({ reason: expect.stringMatching(/undone.*cannot be verified/) })
          const { tables } = expectStatus(await world.send('GET', '/api/users/export', bearer(people.ada)))
          const acts = tables.user_audit_log.map(({ act }: { act: string }) => act)
          expect(acts.filter((act: string) => act === 'restartAuditChain')).toHaveLength(restarts)
        })
      }
    },
  )
})

describe('an audit log', () => {
  const act = (database: TestDatabase, id: string) =>
    rowsOf(
      database,
      `select ctx.append_act($1, 'user', $1, 'login', null, null, 'success', '192.0.2.1', '{}')`,
      [id],
    )
  const acts = async (database: TestDatabase, id: string, count: number) => {
    for (let n = 0; n < count; n += 1) await act(database, id)
  }
  const gapsOf = (database: TestDatabase, id: string) =>
    rowsOf(database, 'select sequence::int from ctx.audit_gaps() where user_id = $1 order by 1', [id])
  const restartsOf = (database: TestDatabase, id: string) =>
    rowsOf(
      database,
      'select sequence::int, entries_before::int as before from ctx.audit_restarts() where user_id = $1',
      [id],
    )

  it('that lost its heads before there was 0006_audit_chains is repaired by it', {
    timeout: 120_000,
  }, async () => {
    const database = await copyHome('way_back_broken')
    const directory = await mkdtemp(join(tmpdir(), 'netpilot-migrations-'))
    for (const { name, up, down } of migrations.filter((migration) => migration.name < '0006_audit_chains')) {
      await writeFile(join(directory, `${name}.sql`), up)
      await writeFile(join(directory, `${name}.down.sql`), down)
    }
    const [whole, partlyPurged, fresh] = [randomUUID(), randomUUID(), randomUUID()]
    for (const id of [whole, partlyPurged]) await acts(database, id, 4)
    for (const id of [whole, fresh])
      await rowsOf(database, 'insert into users (id, email, is_active) values ($1, $2, false)', [
        id,
        `${id}@example.com`,
      ])
    await rowsOf(database, 'delete from user_audit_log where user_id = $1 and sequence < 3', [partlyPurged])
    await migrateBack('0003_seal', optionsOf(database))
    await migrate({ ...optionsOf(database), directory })
    await rm(directory, { recursive: true })

    // Whoever has an entry at the number that is next does nothing any more.
    await expect(act(database, home.people.ada.id)).rejects.toThrow('user_audit_log_pkey')
    await expect(act(database, whole)).rejects.toThrow('user_audit_log_pkey')
    await acts(database, partlyPurged, 2)
    await expect(act(database, partlyPurged)).rejects.toThrow('user_audit_log_pkey')
    await acts(database, fresh, 2)

    await migrate(optionsOf(database))
    for (const id of [whole, partlyPurged, fresh]) await acts(database, id, 2)
    expect(await restartsOf(database, whole)).toEqual([{ sequence: 5, before: 4 }])
    expect(await restartsOf(database, partlyPurged)).toEqual([{ sequence: 5, before: 4 }])
    expect(await restartsOf(database, fresh)).toEqual([])
    // Who deactivated them is not known; of the second, nothing was lost.
    const suspended = 'select id from users where suspended_at is not null and id = any($1)'
    expect(await rowsOf(database, suspended, [[whole, fresh]])).toEqual([{ id: whole }])
    await whileServing(database, async (world, server) => {
      await expectAllAsBefore(world, database, home.people)
      const { ada } = home.people
      expectStatus(
        await world.send('DELETE', '/api/users/account', {
          ...bearer(ada),
          body: { password: ada.password },
        }),
        204,
      )
      const { toMend, told } = await examine(database, server)
      expect(toMend).toEqual([])
      expect(ownersIn(told)).toEqual([...home.people.ids, whole, partlyPurged].sort())
    })
  })

  describe('that began anew', () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await copyHome('way_back_anew')
    })
    /** Somebody whose log has the entries 1 to 3, begins anew at 4, and goes on to 6. */
    const somebody = async () => {
      const id = randomUUID()
      await acts(database, id, 3)
      await rowsOf(database, 'update user_audit_heads set hash = null where user_id = $1', [id])
      await acts(database, id, 3)
      return id
    }

    it.each([
      [
        'shows what was changed after that',
        `update user_audit_log set act = 'x' where sequence = 5 and`,
        [5],
      ],
      [
        'shows what was changed in the entry that says so',
        `update user_audit_log set detail = '{"reason":"x"}' where sequence = 4 and`,
        [4],
      ],
      ['shows what is missing after that', 'delete from user_audit_log where sequence = 5 and', [6]],
      ['shows what is missing at the end', 'delete from user_audit_log where sequence = 6 and', [6]],
      ['shows when that entry is taken out', 'delete from user_audit_log where sequence = 4 and', [5]],
      [
        'shows when it is joined to what stands before',
        `update user_audit_log set previous_hash = hash where sequence = 4 and`,
        [4],
      ],
      ['shows that its head is lost again', 'delete from user_audit_heads where', [6]],
      [
        'vouches for nothing before that, which is why it is told',
        `update user_audit_log set act = 'x' where sequence = 2 and`,
        [],
      ],
      [
        'loses what is personal with its owner',
        'update user_audit_log set address = null, detail = null, salt = null where',
        [],
      ],
    ])('%s', async (_what, tamper, gaps) => {
      const id = await somebody()
      expect([await gapsOf(database, id), await restartsOf(database, id)]).toEqual([
        [],
        [{ sequence: 4, before: 3 }],
      ])
      await rowsOf(database, `${tamper} user_id = $1`, [id])
      expect(await gapsOf(database, id)).toEqual(gaps.map((sequence) => ({ sequence })))
    })

    it('begins anew again, and vouches from the last time on', async () => {
      const id = await somebody()
      await rowsOf(database, 'update user_audit_heads set hash = null where user_id = $1', [id])
      await acts(database, id, 2)
      expect([await gapsOf(database, id), await restartsOf(database, id)]).toEqual([
        [],
        [{ sequence: 7, before: 6 }],
      ])
    })

    it('is no longer told of once the entries before that were kept long enough; when all were, it begins with the first again', async () => {
      const [partly, whole] = [await somebody(), await somebody()]
      const age =
        'update user_audit_log set at = at - interval $$40 days$$ where user_id = $1 and sequence < $2'
      await rowsOf(database, age, [partly, 4])
      await rowsOf(database, age, [whole, 7])
      await rowsOf(database, 'select ctx.purge(30)')
      await act(database, whole)
      for (const id of [partly, whole])
        expect([await gapsOf(database, id), await restartsOf(database, id)]).toEqual([[], []])
      expect(
        await rowsOf(database, 'select sequence::int from user_audit_log where user_id = $1', [whole]),
      ).toEqual([{ sequence: 1 }])
    })
  })
})

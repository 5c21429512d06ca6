/**
 * What the server or the database fails at is nobody's guess: five such failures lock nobody out, wherever a
 * password or a code is asked for, and five wrong ones still do, whatever fails meanwhile. A database of its
 * own can be made to fail in any way.
 */
import { createHmac, randomUUID } from 'node:crypto'
import bcrypt from 'bcrypt'
import pg from 'pg'
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  inject,
  it,
  type MockInstance,
  onTestFinished,
  vi,
} from 'vitest'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { roleNames } from '../../src/database/role-names.ts'
import { prepare, separateDatabase, type TestDatabase } from '../support/database.ts'
import { type FaultProxy, openFaultProxy } from '../support/fault-proxy.ts'
import { openProxy } from '../support/outage.ts'
import { expectProblem } from '../support/problems.ts'
import { enrolledIn, FACTOR_PATH, setUp, wrongCodeOf } from '../support/second-factor.ts'
import {
  type Answer,
  openServer,
  type Person,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

let database: TestDatabase
let admin: pg.Pool
let faults: FaultProxy
let server: TestServer
let world: World

const sql = async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []) =>
  (await admin.query<Row>(text, values)).rows
const through = (host: string): TestDatabase => {
  const url = new URL(database.adminUrl)
  url.host = host
  return { adminUrl: url.href, rolePrefix: database.rolePrefix, password: database.password }
}
const nobodyListens = { listen: () => ({ close: async () => {} }) }
/** bcrypt one at a time, and one more that waits for a tenth of a second. */
const NARROW = { BCRYPT_CONCURRENCY: '1', BCRYPT_QUEUE: '1', BCRYPT_WAIT_MS: '100' }

/** Raises what a full disk raises, when new login sessions begin, or guesses are forgotten. */
const FULL_DISK = `
  create function full_disk() returns trigger language plpgsql as $$
  begin
    if tg_op = 'INSERT' or current_query() ~ 'any\\(' then
      raise exception using errcode = '53100', message = 'no space left on device';
    end if;
    return old;
  end $$;
  create trigger full_disk before insert on user_login_sessions for each row execute function full_disk();
  create trigger full_disk before delete on sign_in_attempts for each row execute function full_disk();
  alter table user_login_sessions disable trigger full_disk;
  alter table sign_in_attempts disable trigger full_disk`
const setFullDisk = async (state: 'enable' | 'disable') => {
  await sql(`alter table user_login_sessions ${state} trigger full_disk`)
  await sql(`alter table sign_in_attempts ${state} trigger full_disk`)
}

beforeAll(async () => {
  database = await separateDatabase(inject('database'), 'lockout_failures')
  await prepare(database)
  admin = new pg.Pool({ connectionString: database.adminUrl })
  const name = new URL(database.adminUrl).pathname.slice(1)
  const { server: people, auth } = roleNames(database.rolePrefix)
  for (const role of [people, auth])
    await sql(`alter role ${pg.escapeIdentifier(role)} in database ${name} set lock_timeout = '100ms'`)
  await sql(FULL_DISK)
  const { host } = new URL(database.adminUrl)
  faults = await openFaultProxy(host, (harm, pid) =>
    sql(harm === 'cancel' ? 'select pg_cancel_backend($1)' : 'select pg_terminate_backend($1)', [pid]),
  )
  server = await openServer(NARROW, through(faults.address), nobodyListens)
  world = worldOf(server)
})
afterAll(async () => {
  await server.close()
  await faults.close()
  await admin.end()
})

const send = (url: string, body: object, at = world) => at.send('POST', url, { body })
const login = ({ email }: Pick<Person, 'email'>, password: string, at = world) =>
  send('/api/auth/login', { email, password }, at)
const nobody = () => ({ email: `${randomUUID()}@example.com` })
const statuses = (answers: Answer[]) => answers.map(({ statusCode }) => statusCode)
/** Five, one after the other. */
async function five(ask: () => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = []
  while (answers.length < 5) answers.push(await ask())
  return answers
}
const expectFailures = (answers: Answer[]) => {
  for (const answer of answers) expect(answer.statusCode, answer.body).toBeGreaterThanOrEqual(500)
}
/** Who is signed in is told 403 instead of 401. */
const expectWrong = (answers: Answer[]) => {
  for (const answer of answers)
    expect(['invalid-credentials', 'wrong-password', 'wrong-code'], answer.body).toContain(answer.json().code)
}
/** What is known about guesses at a name, of the shared server or another. */
async function guesses(name: string, { secrets } = server) {
  const [{ secret }] = createKeyring(secrets.jwt).guesses
  return sql('select failures, locked_until is not null as "isLocked" from sign_in_attempts where key = $1', [
    createHmac('sha256', secret).update(name).digest(),
  ])
}
const spyOnCompare = () => {
  const compare = vi.spyOn(bcrypt, 'compare') as unknown as MockInstance<typeof bcrypt.compare>
  onTestFinished(() => compare.mockRestore())
  return compare
}
const really = bcrypt.compare.bind(bcrypt)

type Door = { right(): Promise<Answer>; wrong(): Promise<Answer> }

/** Where somebody proves who they are. */
const DOORS: Record<string, () => Promise<Door>> = {
  'signing in': async () => {
    const ada = await world.person()
    return { right: () => login(ada, ada.password), wrong: () => login(ada, 'not the password') }
  },
  'coming back': async () => {
    const ada = await world.person()
    await ada.call('POST', '/api/users/deactivate', { body: { password: ada.password } })
    const reactivate = (password: string) => send('/api/users/reactivate', { email: ada.email, password })
    return { right: () => reactivate(ada.password), wrong: () => reactivate('not the password') }
  },
  'changing the password': async () => {
    const ada = await world.person()
    const change = (currentPassword: string) =>
      ada.call('POST', '/api/users/change-password', {
        body: { currentPassword, newPassword: 'a new long password' },
      })
    return { right: () => change(ada.password), wrong: () => change('not the password') }
  },
  'the second factor': async () => {
    const ada = await enrolledIn(world, {}, sql)
    const { challenge = '' } = (await login(ada, ada.password)).json()
    const answer = async (code: string) => send(FACTOR_PATH, { challenge, code })
    return { right: async () => answer(await ada.code()), wrong: () => answer(wrongCodeOf(ada.app)) }
  },
}

/** Ends what fails. */
type Undo = () => Promise<unknown>

/** bcrypt is under way until the end. */
async function keepBcryptBusy(at = world): Promise<Undo> {
  let finish = (_ok: boolean) => {}
  const compare = spyOnCompare()
  compare.mockImplementation(() => new Promise<boolean>((resolve) => (finish = resolve)))
  const one = login(nobody(), 'x', at)
  await expect.poll(() => compare.mock.calls.length).toBe(1)
  return async () => {
    finish(false)
    compare.mockRestore()
    await one
  }
}

/**
 * What fails while a password or a code is checked, or after it. `checks`: wrong ones are found wrong all the
 * same.
 */
const KINDS: Record<string, { fail(): Promise<Undo>; checks: boolean; notAt?: string[] }> = {
  'the queue of bcrypt is full': {
    checks: false,
    notAt: ['the second factor'],
    async fail() {
      const end = await keepBcryptBusy()
      // And one always waits.
      let isOver = false
      const waiting = (async () => {
        while (!isOver) await login(nobody(), 'x')
      })()
      return async () => {
        isOver = true
        await Promise.all([end(), waiting])
      }
    },
  },
  'bcrypt is not reached in time': {
    checks: false,
    notAt: ['the second factor'],
    fail: () => keepBcryptBusy(),
  },
  'bcrypt fails': {
    checks: false,
    notAt: ['the second factor'],
    async fail() {
      const compare = spyOnCompare().mockRejectedValue(new Error('no memory'))
      return async () => compare.mockRestore()
    },
  },
  'login sessions are locked': {
    checks: true,
    async fail() {
      const locker = new pg.Client({ connectionString: database.adminUrl })
      await locker.connect()
      await locker.query('begin')
      await locker.query('lock table user_login_sessions in access exclusive mode')
      return () => locker.end()
    },
  },
  'the disk is full': {
    checks: true,
    async fail() {
      await setFullDisk('enable')
      return () => setFullDisk('disable')
    },
  },
}
for (const harm of ['cut before', 'cut after', 'terminate'] as const)
  KINDS[`the connection is lost when it was checked (${harm})`] = {
    checks: true,
    notAt: ['the second factor'],
    async fail() {
      const compare = spyOnCompare().mockImplementation(async (password, stored) => {
        const ok = await really(password, stored)
        if (ok) faults.plan([{ at: 0, harm }])
        return ok
      })
      return async () => {
        compare.mockRestore()
        faults.plan([])
      }
    },
  }

const CASES = Object.keys(KINDS).flatMap((kind) =>
  Object.keys(DOORS)
    .filter((door) => !KINDS[kind]?.notAt?.includes(door))
    .map((door) => [kind, door] as const),
)
/** Those that last until they are ended, however many ask at once. */
const LASTING = CASES.filter(([kind]) => !kind.startsWith('the connection'))

async function arrange(kind: string, door: string) {
  const at = (await DOORS[door]?.()) as Door
  const { fail, checks } = KINDS[kind] as (typeof KINDS)[string]
  const undo = await fail()
  let undone: Promise<unknown> | undefined
  const once = () => {
    undone ??= undo()
    return undone
  }
  onTestFinished(async () => void (await once()))
  return { ...at, checks, undo: once }
}

describe('failures', () => {
  it.each(CASES)('lock nobody out: %s, at %s', async (kind, door) => {
    const { right, undo } = await arrange(kind, door)
    const answers = await five(right)
    await undo()
    expectFailures(answers)
    expect([200, 204]).toContain((await right()).statusCode)
  })

  it.each(LASTING)('lock nobody out who fails five times at once: %s, at %s', async (kind, door) => {
    const { right, undo } = await arrange(kind, door)
    const answers = await Promise.all(Array.from({ length: 5 }, right))
    await undo()
    expectFailures(answers)
    expect([200, 204]).toContain((await right()).statusCode)
  })

  it.each(CASES)('let nobody guess more often: %s, at %s', async (kind, door) => {
    const { right, wrong, undo, checks } = await arrange(kind, door)
    await five(right)
    const answers = await five(wrong)
    await undo()
    // While login sessions are locked, who is signed in cannot even be recognised.
    if (!checks || (kind === 'login sessions are locked' && door === 'changing the password')) {
      expectFailures(answers)
      expectWrong(await five(wrong))
    } else expectWrong(answers)
    expectProblem(await right(), 429, 'locked-out')
  })

  /** Something right and something wrong, as often as wanted: each says how to ask. */
  const REPEATED: Record<
    string,
    (
      at: World,
    ) => Promise<
      Record<'right' | 'wrong', () => Promise<() => Promise<Answer>>> & { name: string; id: string }
    >
  > = {
    'signing in': async (at) => {
      const ada = await at.person()
      const ask = (password: string) => async () => () => login(ada, password, at)
      return {
        id: ada.id,
        name: `login ${ada.email}`,
        right: ask(ada.password),
        wrong: ask('not the password'),
      }
    },
    'proving to be the owner': async (at) => {
      const ada = await at.confirmedPerson()
      const ask = (password: string) => async () => () => setUp(ada, { password })
      return {
        id: ada.id,
        name: `password ${ada.id}`,
        right: ask(ada.password),
        wrong: ask('not the password'),
      }
    },
    'the second factor': async (at) => {
      const ada = await enrolledIn(at, {}, sql)
      const ask = (codeNow: () => Promise<string>) => async () => {
        const { challenge = '' } = (await login(ada, ada.password, at)).json()
        const code = await codeNow()
        return () => send(FACTOR_PATH, { challenge, code }, at)
      }
      return {
        id: ada.id,
        name: `second-factor ${ada.id}`,
        right: ask(ada.code),
        wrong: ask(async () => wrongCodeOf(ada.app)),
      }
    },
  }

  const sessionsOf = async (id: string) =>
    (await sql('select 1 from user_login_sessions where user_id = $1', [id])).length

  it.each(Object.keys(REPEATED))(
    'lock nobody out, nor take a wrong one back, wherever the connection is lost: %s',
    async (door) => {
      const strict = await openServer({ LOCKOUT_FAILURES: '2' }, through(faults.address), nobodyListens)
      onTestFinished(strict.close)
      const { right, wrong, name, id } = await (REPEATED[door] as (typeof REPEATED)[string])(worldOf(strict))
      let met = true
      for (let at = 0; met; at += 1) {
        expectWrong([await (await wrong())()])
        const ask = await right()
        const sessions = await sessionsOf(id)
        faults.plan([{ at, harm: 'cut after' }])
        const { statusCode } = await ask()
        met = faults.met().faults > 0
        faults.plan([])
        expect([200, 503], `${at}`).toContain(statusCode)
        // The sign-in may be stored, though nobody was told, and then forgets the wrong one, too. A proof of
        // an owner leaves no such trace.
        const isRight = async () =>
          (await sessionsOf(id)) > sessions ||
          JSON.stringify(await guesses(name, strict)) === '[{"failures":1,"isLocked":false}]'
        if (door !== 'proving to be the owner') await expect.poll(isRight, { message: `${at}` }).toBe(true)
        expect((await (await right())()).statusCode, `${at}`).toBe(200)
      }
    },
    60_000,
  )

  it('on one server lock nobody out at another', async () => {
    const [here, there] = await Promise.all(
      [1, 2].map(() => openServer({}, database, { ...nobodyListens, secrets: server.secrets })),
    )
    onTestFinished(async () => void (await Promise.all([here?.close(), there?.close()])))
    const ada = await world.person()
    const compare = spyOnCompare().mockRejectedValue(new Error('no memory'))
    expectFailures(await five(() => login(ada, ada.password, worldOf(here as TestServer))))
    compare.mockRestore()
    expect((await login(ada, ada.password, worldOf(there as TestServer))).statusCode).toBe(200)
  })
})

describe('a full queue', () => {
  it('turns people away before anything is counted', async () => {
    const narrower = await openServer({ BCRYPT_CONCURRENCY: '1', BCRYPT_QUEUE: '0' }, database, nobodyListens)
    onTestFinished(narrower.close)
    const there = worldOf(narrower)
    const ada = await there.person()
    const end = await keepBcryptBusy(there)
    onTestFinished(async () => void (await end()))
    const query = vi.spyOn(pg.Client.prototype, 'query')
    onTestFinished(() => query.mockRestore())
    expectProblem(await login(ada, ada.password, there), 503, 'unavailable')
    expectProblem(
      await ada.call('POST', '/api/users/deactivate', { body: { password: ada.password } }),
      503,
      'unavailable',
    )
    const texts = query.mock.calls.map(([config]) => (config as unknown as pg.QueryConfig).text)
    expect(texts.filter((text) => /sign_in_attempts|user_credentials/.test(text))).toEqual([])
  })
})

describe('a right password', () => {
  /** As if it were being imported: a hash that is to be replaced. */
  const withOldHash = async () => {
    const ada = await world.person()
    await sql('update user_credentials set password_hash = $2 where user_id = $1', [
      ada.id,
      await bcrypt.hash(ada.password, 4),
    ])
    return ada
  }

  it('whose hash cannot be renewed just now is no guess', async () => {
    const ada = await withOldHash()
    const hash = vi.spyOn(bcrypt, 'hash') as unknown as MockInstance<typeof bcrypt.hash>
    onTestFinished(() => hash.mockRestore())
    hash.mockRejectedValue(new Error('no memory'))
    expectFailures(await five(() => login(ada, ada.password)))
    hash.mockRestore()
    expect((await login(ada, ada.password)).statusCode).toBe(200)
  })

  it('of a suspended account counts like a wrong one, so that nobody can tell', async () => {
    const ada = await world.person()
    await sql('update users set is_active = false, suspended_at = now() where id = $1', [ada.id])
    const reactivate = (password: string) => send('/api/users/reactivate', { email: ada.email, password })
    expect(statuses(await five(() => reactivate(ada.password)))).toEqual([401, 401, 401, 401, 401])
    expectProblem(await reactivate(ada.password), 429, 'locked-out')
  })

  it('that was changed while it was checked counts like a wrong one', async () => {
    const ada = await world.person()
    spyOnCompare().mockImplementation(async (password, stored) => {
      await sql('update user_credentials set password_version = password_version + 1 where user_id = $1', [
        ada.id,
      ])
      return really(password, stored)
    })
    expect(statuses(await five(() => login(ada, ada.password)))).toEqual([401, 401, 401, 401, 401])
    expectProblem(await login(ada, ada.password), 429, 'locked-out')
  })

  it('whose login session ended while it was checked counts like a wrong one', async () => {
    const ada = await world.person()
    spyOnCompare().mockImplementation(async (password, stored) => {
      await sql('update user_login_sessions set ended_at = now() where user_id = $1', [ada.id])
      return really(password, stored)
    })
    expectProblem(
      await ada.call('POST', '/api/users/deactivate', { body: { password: ada.password } }),
      401,
      'unauthenticated',
    )
    expect(await guesses(`password ${ada.id}`)).toEqual([{ failures: 1, isLocked: false }])
  })
})

describe('a wrong password', () => {
  it('of who is signed in stays counted when the failure cannot be recorded', async () => {
    const ada = await world.person()
    const deactivate = (password: string) => ada.call('POST', '/api/users/deactivate', { body: { password } })
    spyOnCompare().mockImplementation(async (password, stored) => {
      faults.plan([{ at: 0, harm: 'cut before' }])
      return really(password, stored)
    })
    expectFailures(await five(() => deactivate('not the password')))
    faults.plan([])
    expectProblem(await deactivate(ada.password), 429, 'locked-out')
  })
})

describe('giving a guess back', () => {
  /** bcrypt checks several at once here, and the lockout is short. */
  let open: TestServer
  let wide: World
  beforeAll(async () => {
    open = await openServer({ BCRYPT_CONCURRENCY: '4', LOCKOUT_SECONDS: '2' }, database, nobodyListens)
    wide = worldOf(open)
  })
  afterAll(() => open.close())
  const wrong = (ada: Person) => login(ada, 'not the password', wide)
  const guessesAt = ({ email }: Person) => guesses(`login ${email}`, open)

  /** A right password that is being checked until it is told to fail. */
  async function inFlight(ada: Person) {
    const { promise, reject } = Promise.withResolvers<never>()
    const compare = spyOnCompare().mockImplementationOnce(() => promise)
    const answer = login(ada, ada.password, wide)
    await expect.poll(() => compare.mock.calls.length).toBe(1)
    return async () => {
      reject(new Error('no memory'))
      expectFailures([await answer])
    }
  }

  /** Somebody whom one failed guess locks out, on a server whose database goes away once that is counted. */
  async function leftAlone() {
    const outage = await openProxy(new URL(database.adminUrl).host)
    const away = await openServer({ LOCKOUT_FAILURES: '1' }, through(outage.address), nobodyListens)
    onTestFinished(async () => {
      await away.close()
      await outage.cut()
    })
    const there = worldOf(away)
    const ada = await there.person()
    const compare = spyOnCompare().mockImplementation(async (password, stored) => {
      await outage.cut()
      return really(password, stored)
    })
    const signIn = () => login(ada, ada.password, there)
    expectFailures([await signIn()])
    expect(await guesses(`login ${ada.email}`, away)).toEqual([{ failures: 1, isLocked: true }])
    compare.mockRestore()
    return { away, outage, signIn }
  }

  it('leaves the wrong ones that were counted meanwhile, and ends the lockout that was reached with it', async () => {
    const ada = await wide.person()
    const fail = await inFlight(ada)
    for (let n = 0; n < 4; n += 1) expectProblem(await wrong(ada), 401, 'invalid-credentials')
    expectProblem(await wrong(ada), 429, 'locked-out')
    await fail()
    expect(await guessesAt(ada)).toEqual([{ failures: 4, isLocked: false }])
    expectProblem(await wrong(ada), 401, 'invalid-credentials')
    expectProblem(await login(ada, ada.password, wide), 429, 'locked-out')
  })

  it('takes nothing from a later count', async () => {
    const ada = await wide.person()
    const fail = await inFlight(ada)
    await sql('select pg_sleep(2.1)')
    await wrong(ada)
    await fail()
    expect(await guessesAt(ada)).toEqual([{ failures: 1, isLocked: false }])
  })

  it('is done before the failure is answered, so that the next guess may go to another server', async () => {
    const ada = await wide.person()
    const locker = new pg.Client({ connectionString: database.adminUrl })
    await locker.connect()
    onTestFinished(() => locker.end())
    spyOnCompare().mockImplementationOnce(async () => {
      await locker.query('begin')
      await locker.query('select from sign_in_attempts for update')
      throw new Error('no memory')
    })
    let isFree = false
    const wasFree = login(ada, ada.password, wide).then(() => isFree)
    await expect
      .poll(() => sql('select 1 from pg_locks where not granted and pg_blocking_pids(pid) <> array[]::int[]'))
      .not.toEqual([])
    isFree = true
    await locker.query('commit')
    expect(await wasFree).toBe(true)
    expect(await guessesAt(ada)).toEqual([])
  })

  it('takes nothing when all were forgotten meanwhile', async () => {
    const ada = await wide.person()
    const fail = await inFlight(ada)
    expect((await login(ada, ada.password, wide)).statusCode).toBe(200)
    await fail()
    expect(await guessesAt(ada)).toEqual([])
  })

  it('happens when the database is back, before the next guess is counted', async () => {
    const { outage, signIn } = await leftAlone()
    await outage.restore()
    expect((await signIn()).statusCode).toBe(200)
  })

  it('keeps no server from closing, while the database is away', async () => {
    const { away } = await leftAlone()
    await expect(away.app.close()).resolves.toBeUndefined()
  })
})

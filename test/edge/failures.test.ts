/**
 * When the server fails: what clients learn of it, and what the log holds. A database of its own can be made
 * to fail in any way.
 */
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { asAdmin, prepare, separateDatabase, type TestDatabase } from '../support/database.ts'
import { expectProblem } from '../support/problems.ts'
import {
  newSecrets,
  openServer,
  type Person,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

/** Stands where a driver's error carries somebody's data. */
const PLANTED = 'planted-8c1f'

/** Makes adding a router fail with the SQLSTATE that is its name. */
const FAIL_ON_DEMAND = `
  create function fail_on_demand() returns trigger language plpgsql as $$
  begin
    if new.router_name ~ '^[0-9A-Z]{5}$' then
      raise exception using errcode = new.router_name, message = 'value "${PLANTED}" is wrong', detail = 'Failing row (${PLANTED})',
        hint = '${PLANTED}', constraint = 'planted_constraint', table = '${PLANTED}', column = '${PLANTED}';
    end if;
    return new;
  end $$;
  create trigger fail_on_demand before insert on user_routers for each row execute function fail_on_demand()`

/**
 * Connections, conflicts, a standby, disks, memory, time-outs and restarts: for somebody to mend, and for
 * clients to try again.
 */
const UNAVAILABLE = [
  ...[
    '08000',
    '08003',
    '08006',
    '25006',
    '25P03',
    '40001',
    '40P01',
    '53100',
    '53200',
    '53300',
    '53400',
    '55P03',
  ],
  ...['57014', '57P01', '57P02', '57P03', '57P05', '58030'],
]

let database: TestDatabase
let server: TestServer
let world: World
let ada: Person
const alter = (statement: string) => asAdmin(database.adminUrl, (client) => client.query(statement))
const add = (name: string) => ada.call('POST', '/api/routers', { body: { name } })

beforeAll(async () => {
  database = await separateDatabase(inject('database'), 'failures')
  await prepare(database)
  await alter(FAIL_ON_DEMAND)
  server = await openServer({ LOG_LEVEL: 'trace' }, database)
  world = worldOf(server)
  ada = await world.person()
})
afterAll(() => server.close())

describe('an error of the database', () => {
  it.each<[state: string, status: number, code: string]>([
    ['22021', 400, 'invalid-request'],
    ['22P02', 400, 'invalid-request'],
    ['22P05', 400, 'invalid-request'],
    ['22007', 400, 'invalid-request'],
    ['22008', 400, 'invalid-request'],
    ['22001', 400, 'invalid-request'],
    ['NP401', 401, 'unauthenticated'],
    ['23503', 404, 'not-found'],
    ['23505', 409, 'conflict'],
    ['23514', 500, 'internal'],
    ['42501', 500, 'internal'],
    ['42P01', 500, 'internal'],
    ['XX000', 500, 'internal'],
    ...UNAVAILABLE.map((state): [string, number, string] => [state, 503, 'unavailable']),
  ])('of SQLSTATE %s is %i %s, and its text reaches nobody, T38', async (state, status, code) => {
    const before = server.logged.length
    const answer = await add(state)
    const { requestId, ...more } = expectProblem(answer, status, code)
    expect(more).toEqual({})
    expect(answer.body + JSON.stringify(answer.headers)).not.toContain('planted')
    const lines = server.logged.slice(before).map((line) => JSON.parse(line))
    expect(JSON.stringify(lines)).not.toContain(PLANTED)
    expect(lines.every(({ id }) => id === requestId)).toBe(true)
    const told = lines.filter(({ err }) => err).map(({ level, err }) => [level, err.code, err.constraint])
    expect(told).toEqual(
      status < 500 ? [] : [[status === 500 ? 'error' : 'warn', state, 'planted_constraint']],
    )
    expect((await add('Home')).statusCode).toBe(201)
  })

  it('that fails hundreds of requests is logged once, without a stack, and then by its number', async () => {
    const own = await openServer({ LOG_LEVEL: 'info' }, database)
    onTestFinished(() => own.app.close())
    const person = await worldOf(own).person()
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const told = () => own.logged.map((line) => JSON.parse(line)).filter(({ msg }) => msg !== 'request')
    const fail = async (times: number) => {
      const answers = await Promise.all(
        Array.from({ length: times }, () => person.call('POST', '/api/routers', { body: { name: '53100' } })),
      )
      expect(answers.filter(({ statusCode }) => statusCode === 503)).toHaveLength(times)
    }
    for (let round = 0; round < 10; round += 1) await fail(20)
    expect(told()).toMatchObject([{ level: 'warn', code: 'unavailable', err: { code: '53100' } }])
    expect(JSON.stringify(told())).not.toMatch(/stack|node_modules/)
    vi.advanceTimersByTime(60_000)
    expect(told().slice(1)).toMatchObject([{ level: 'warn', kind: '53100', count: 199 }])
    // A minute without one has nothing to tell, and the next is a first again.
    vi.advanceTimersByTime(60_000)
    await fail(1)
    expect(told().slice(2)).toMatchObject([{ err: { code: '53100' } }])
  })

  it('that quotes a password’s hash keeps it out of answer and log', async () => {
    await alter(
      `alter table user_credentials add constraint planted check (password_hash = 'never') not valid`,
    )
    onTestFinished(async () => void (await alter('alter table user_credentials drop constraint planted')))
    const before = server.logged.length
    const body = { email: 'bob@failures.example', password: 'correct horse battery' }
    const answer = await world.send('POST', '/api/auth/register', { body })
    expect(expectProblem(answer, 500, 'internal')).toEqual({ requestId: expect.any(String) })
    const log = server.logged.slice(before).join('')
    expect(log).toContain('"code":"23514"')
    for (const secret of ['$2b$', body.email, body.password]) expect(log + answer.body).not.toContain(secret)
    // And half an account is none.
    await expect(world.send('POST', '/api/auth/login', { body })).resolves.toMatchObject({ statusCode: 401 })
  })
})

describe('a mistake of the server', () => {
  it('is 500 with a problem document only, and the log has the rest under the same id, T38', async () => {
    const broken = await openServer({ LOG_LEVEL: 'info' }, database)
    onTestFinished(() => broken.app.close())
    const person = await worldOf(broken).person()
    await Promise.all(Object.values(broken.pools).map((pool) => pool.end()))
    broken.pools.server.connect = (async () => ({})) as never
    const { requestId, ...more } = expectProblem(await person.call('GET', '/api/routers'), 500, 'internal')
    expect(more).toEqual({})
    const [error, line] = broken.logged.slice(-2).map((entry) => JSON.parse(entry))
    expect(error).toMatchObject({
      level: 'error',
      id: requestId,
      err: { type: 'TypeError', stack: expect.stringContaining('transaction.ts') },
    })
    expect(line).toMatchObject({
      level: 'warn',
      id: requestId,
      msg: 'request',
      status: 500,
      method: 'GET',
      route: expect.stringMatching(/^\/api\/routers\/?$/),
    })
  })
})

describe('a server without its database', () => {
  it('answers 503 with Retry-After on every route that needs it, with a problem document only', async () => {
    const bereft = await openServer({}, database)
    onTestFinished(() => bereft.app.close())
    const { person, send } = worldOf(bereft)
    const bob = await person()
    const router = await bob.router()
    await Promise.all(Object.values(bereft.pools).map((pool) => pool.end()))
    const { email, password, refreshToken } = bob
    for (const answer of await Promise.all([
      send('POST', '/api/auth/register', { body: { email: `x${email}`, password } }),
      send('POST', '/api/auth/login', { body: { email, password } }),
      send('POST', '/api/auth/refresh', { body: { refreshToken } }),
      bob.call('POST', '/api/auth/logout'),
      bob.call('GET', '/api/auth/me'),
      bob.call('GET', '/api/routers'),
      bob.call('POST', `/api/routers/${router.id}/keys`, { body: {} }),
      bob.call('GET', '/api/devices'),
      router.call('GET', '/api/agent/verify'),
      router.scan(['00:00:5e:00:53:01']),
      router.call('POST', '/api/agent/scans', { body: { unknown: true } }),
    ]))
      expect(expectProblem(answer, 503, 'unavailable')).toEqual({ requestId: expect.any(String) })
    // Who is nobody even without a database is told so.
    expectProblem(await send('GET', '/api/routers'), 401, 'unauthenticated')
  })
})

describe('the log', () => {
  it('says in the line of each request who asked, and with which code they were turned away', async () => {
    const own = await openServer({ LOG_LEVEL: 'info' }, database)
    onTestFinished(own.close)
    const { send, person } = worldOf(own)
    const [ada, bob] = [await person(), await person()]
    const router = await ada.router()
    const lastLine = () =>
      own.logged.map((entry) => JSON.parse(entry)).findLast(({ msg }) => msg === 'request')
    await ada.call('GET', '/api/routers')
    expect(lastLine()).toMatchObject({ status: 200, account: ada.id })
    await bob.call('GET', `/api/routers/${router.id}`)
    expect(lastLine()).toMatchObject({
      status: 404,
      code: 'not-found',
      account: bob.id,
      route: '/api/routers/:id',
    })
    await bob.call('GET', '/api/admin/users')
    expect(lastLine()).toMatchObject({ status: 404, code: 'not-found', account: bob.id })
    await router.call('GET', '/api/agent/policy')
    expect(lastLine()).toMatchObject({ status: 200, account: ada.id })
    await ada.call('DELETE', `/api/routers/${router.id}/keys/${router.keyId}`)
    await router.call('GET', '/api/agent/policy')
    expect(lastLine()).toMatchObject({ status: 401, code: 'unauthenticated', account: ada.id })
    await send('GET', '/api/routers')
    expect(lastLine()).toMatchObject({ status: 401, code: 'unauthenticated' })
    expect(lastLine()).not.toHaveProperty('account')
    expect(own.logged.join('')).not.toContain(router.key)
  })

  it('holds one line a request and no secret, whatever happens to it, T39', async () => {
    const secrets = newSecrets()
    const own = await openServer({ LOG_LEVEL: 'trace' }, database, { secrets })
    onTestFinished(() => own.app.close())
    let requests = 0
    const { send: sendOnly, person } = worldOf(own)
    const send: typeof sendOnly = (...call) => {
      requests += 1
      return sendOnly(...call)
    }
    const bob = await person({ password: 'correct horse battery' })
    const router = await bob.router()
    requests += 3
    const planted = {
      jwtSecret: secrets.jwt.current,
      pepper: secrets.pepper.current,
      databasePassword: database.password,
      password: bob.password,
      wrongPassword: 'wrong horse battery',
      accessToken: bob.accessToken,
      signature: bob.accessToken.slice(-20),
      refreshToken: bob.refreshToken,
      key: router.key,
      keySecret: router.key.slice(40, 60),
      cookie: 'cookie-1f0a6b',
      basic: Buffer.from('bob:basic-77aa').toString('base64'),
      inUrl: 'url-secret-5d20',
    }
    const json = { 'content-type': 'application/json' }
    const { email, refreshToken, accessToken } = bob
    const login = (body: unknown, headers = {}) => send('POST', '/api/auth/login', { body, headers })
    const statuses = [
      await login({ email, password: planted.password }),
      await login({ email, password: planted.wrongPassword }),
      await login({ email, password: planted.password, unknown: planted.refreshToken }),
      await login({ email: planted.password, password: planted.password }),
      await login(`{"password":"${planted.password}"`, json),
      await login({ password: [planted.password] }),
      await send('POST', '/api/auth/refresh', { body: { refreshToken } }),
      await send('POST', '/api/auth/refresh', { body: { refreshToken: `${refreshToken}x` } }),
      await send('GET', '/api/auth/me', {
        headers: { authorization: `Bearer ${accessToken}`, cookie: `session=${planted.cookie}` },
      }),
      await send('GET', '/api/auth/me', { headers: { authorization: `Bearer ${accessToken.slice(0, -1)}` } }),
      await send('GET', '/api/auth/me', { headers: { authorization: `Basic ${planted.basic}` } }),
      await send('GET', `/api/agent/verify?key=${router.key}`),
      await send('GET', '/api/agent/verify', { headers: { 'x-api-key': router.key } }),
      await send('GET', `/nothing/${planted.inUrl}?token=${planted.inUrl}`),
      await send('GET', `/api/routers?access_token=${accessToken}`, {
        headers: { authorization: `Bearer ${accessToken}` },
      }),
    ].map(({ statusCode }) => statusCode)
    expect(statuses).toEqual([200, 401, 400, 400, 400, 400, 200, 401, 200, 401, 401, 400, 200, 404, 400])
    await Promise.all(Object.values(own.pools).map((pool) => pool.end()))
    expect((await login({ email, password: planted.password })).statusCode).toBe(503)
    expect(
      (await send('GET', '/api/auth/me', { headers: { authorization: `Bearer ${accessToken}` } })).statusCode,
    ).toBe(503)

    const lines = own.logged.map((line) => JSON.parse(line))
    expect(lines.filter(({ msg }) => msg === 'request')).toHaveLength(requests)
    expect(lines.filter(({ err }) => err)).toHaveLength(1)
    const log = own.logged.join('')
    expect(Object.entries(planted).filter(([, secret]) => log.includes(secret))).toEqual([])
  })
})

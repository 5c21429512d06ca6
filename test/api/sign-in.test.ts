/** Accounts and login sessions: registering, signing in, refreshing, signing out. */
import { randomUUID } from 'node:crypto'
import bcrypt from 'bcrypt'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { PASSWORD_PROBLEMS } from '../../src/auth/passwords/policy.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import {
  type Answer,
  newSecrets,
  openServer,
  type Person,
  rowsOf,
  sharedWorld,
  type World,
  worldOf,
} from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await sharedWorld()
})

const EMOJI = '🔑🚪🚗🌍🎈🐟🍞🪁🎻🧊🌵🛶'
const newEmail = () => `${randomUUID()}@example.com`
const register = (body: object) => world.send('POST', '/api/auth/register', { body })
const login = (email: string, password: string) =>
  world.send('POST', '/api/auth/login', { body: { email, password } })
const refresh = (refreshToken: string, { send } = world) =>
  send('POST', '/api/auth/refresh', { body: { refreshToken } })
const me = (accessToken: string, { send } = world) =>
  send('GET', '/api/auth/me', { headers: { authorization: `Bearer ${accessToken}` } })
const expectOver = (answer: Answer) => expectProblem(answer, 401, 'unauthenticated')

describe('an account', () => {
  it('is made with an address and a password, and signs its owner in', async () => {
    const email = newEmail()
    const answer = await register({ email, password: 'correct horse battery', fullName: 'Ada Lovelace' })
    expect(answer.statusCode).toBe(201)
    const { user, accessToken, ...rest } = answer.json()
    expect(rest).toEqual({
      refreshToken: expect.stringMatching(/^npr_[\w-]{100}$/),
      tokenType: 'Bearer',
      expiresIn: 600,
    })
    expect(user).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      email,
      fullName: 'Ada Lovelace',
      role: 'user',
      emailVerified: false,
      hasPassword: true,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
    expect((await me(accessToken)).json()).toEqual(user)
    expect((await login(email, 'correct horse battery')).json().user).toEqual(user)
  })

  it.each(['a@-x.com', 'a@x-.com', 'a@x.-com', 'a@x.com-', 'a@x..com', 'a@x'])(
    'has an address that can be one: not %s',
    async (email) => {
      expectProblem(await register({ email, password: 'thirteen char' }), 400, 'invalid-request')
    },
  )

  it('has one spelling of its address: trimmed and lower-cased', async () => {
    const [name, password] = [randomUUID(), 'correct horse battery']
    const { user } = (await register({ email: ` ${name.toUpperCase()}@Example.COM\t`, password })).json()
    expect(user.email).toBe(`${name}@example.com`)
    expect((await login(`\n${name}@EXAMPLE.com `, password)).json().user.id).toBe(user.id)
    expectProblem(await register({ email: `${name}@EXAMPLE.com`, password }), 409, 'email-taken')
  })

  it('is made once, whoever tries at the same time', async () => {
    const name = randomUUID()
    const passwords = Array.from({ length: 5 }, () => randomUUID())
    const answers = await Promise.all(
      passwords.map((password) => register({ email: `${name}@example.com`, password })),
    )
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, 409, 409, 409, 409])
    const logins = await Promise.all(passwords.map((password) => login(`${name}@example.com`, password)))
    expect(logins.map(({ statusCode }) => statusCode)).toEqual(
      answers.map(({ statusCode }) => (statusCode === 201 ? 200 : 401)),
    )
  })

  it.each([
    ['12 characters', 'twelve chars'],
    ['12 characters of four bytes', EMOJI],
    ['256 characters of four bytes', `${EMOJI.repeat(21)}🔑🚪🚗🌍`],
  ])('may have a password of %s', async (_what, password) => {
    const email = newEmail()
    expect((await register({ email, password })).statusCode).toBe(201)
    expect((await login(email, password)).statusCode).toBe(200)
  })

  it.each([
    ['11 characters', 'elevenchars', 'too-short'],
    ['11 characters of four bytes', EMOJI.slice(2), 'too-short'],
    ['a row of keys', 'qwertyuiop[]', 'predictable'],
    ['the name of the service and little else', 'netpilot2026', 'context-word'],
    ['the address and little else', 'lovelace1843', 'context-word'],
    ['the full name and little else', 'AugustaAda15', 'context-word'],
    ['what many people have and little else', 'Password123!', 'common'],
  ])('may not have a password of %s, and is told which rule it breaks', async (_what, password, code) => {
    const answer = await register({
      email: `ada.lovelace@${randomUUID()}.example`,
      password,
      fullName: 'Augusta Ada',
    })
    const { rules } = (await world.send('GET', '/api/auth/password-requirements')).json()
    const { text } = rules.find((rule: { code: string }) => rule.code === code)
    expect(expectProblem(answer, 400, 'invalid-request').errors).toEqual([
      { path: '/body/password', code, message: text },
    ])
  })

  it('may not have a password of more than 256 characters', async () => {
    const answer = await register({ email: newEmail(), password: `${'correct horse '.repeat(18)}batt!` })
    expect(expectProblem(answer, 400, 'invalid-request').errors).toMatchObject([{ path: '/body/password' }])
  })

  it('may have a form that knows the rules beforehand', async () => {
    const answer = await world.send('GET', '/api/auth/password-requirements')
    expect(answer.statusCode).toBe(200)
    const { rules, ...lengths } = answer.json()
    expect(lengths).toEqual({ minLength: 12, maxLength: 256, unit: 'code points' })
    expect(rules.map(({ code }: { code: string }) => code)).toEqual([...PASSWORD_PROBLEMS])
    expect(rules[1]).toEqual({ code: 'too-short', text: 'must have at least 12 characters' })
  })

  it('has a password as short as the operator allows, and no shorter', async () => {
    const server = await openServer({ PASSWORD_MIN_LENGTH: '14' })
    onTestFinished(server.close)
    const { send } = worldOf(server)
    expect((await send('GET', '/api/auth/password-requirements')).json()).toMatchObject({ minLength: 14 })
    const answer = await send('POST', '/api/auth/register', {
      body: { email: newEmail(), password: 'thirteen char' },
    })
    expect(expectProblem(answer, 400, 'invalid-request').errors).toMatchObject([
      { message: 'must have at least 14 characters' },
    ])
    const fourteen = { email: newEmail(), password: 'fourteen chars' }
    expect((await send('POST', '/api/auth/register', { body: fourteen })).statusCode).toBe(201)
  })

  it('has a password of which the 73rd byte matters, T12', async () => {
    const email = newEmail()
    const common = 'violet anchor pillow lantern '.repeat(3).slice(0, 72)
    await register({ email, password: `${common}b` })
    expectProblem(await login(email, `${common}c`), 401, 'invalid-credentials')
    expectProblem(await login(email, common), 401, 'invalid-credentials')
    expect((await login(email, `${common}b`)).statusCode).toBe(200)
  })

  it('is made and used from any address, also one that PostgreSQL cannot hold', async () => {
    const behindProxy = await openServer({ TRUST_PROXY: '127.0.0.1' })
    onTestFinished(behindProxy.close)
    for (const from of [
      { remoteAddress: 'fe80::1%eth0' },
      { headers: { 'x-forwarded-for': '203.0.113.5:50123' } },
      { headers: { 'x-forwarded-for': 'unknown' } },
    ]) {
      const ask = (url: string, body: object) =>
        behindProxy.app.inject({ method: 'POST', url, payload: body, ...from })
      const body = { email: newEmail(), password: 'correct horse battery' }
      expect((await ask('/api/auth/register', body)).statusCode).toBe(201)
      expect((await ask('/api/auth/login', body)).statusCode).toBe(200)
    }
  })

  it('that was imported with plain bcrypt signs in several times at once, and is stored the present way', async () => {
    const { id, email, password } = await world.person()
    const stored = async () =>
      (await rowsOf('select password_hash from user_credentials where user_id = $1', [id]))[0]?.password_hash
    await rowsOf('update user_credentials set password_hash = $2 where user_id = $1', [
      id,
      await bcrypt.hash(password, 4),
    ])
    const answers = await Promise.all(Array.from({ length: 4 }, () => login(email, password)))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200])
    const upgraded = await stored()
    expect(upgraded).toMatch(/^np1:\$2b\$04\$/)
    expect((await login(email, password)).statusCode).toBe(200)
    expect(await stored()).toBe(upgraded)
    const tokens = answers.map((answer) => answer.json().accessToken)
    expect(new Set(tokens).size).toBe(4)
    for (const token of tokens) expect((await me(token)).statusCode).toBe(200)
  })

  it('that was imported with plain bcrypt signs in, and is stored the present way from then on', async () => {
    const { id, email, password } = await world.person()
    const stored = async () =>
      (await rowsOf('select password_hash from user_credentials where user_id = $1', [id]))[0]?.password_hash
    const imported = (await bcrypt.hash(password, 4)).replace('$2b$', '$2y$')
    await rowsOf('update user_credentials set password_hash = $2 where user_id = $1', [id, imported])
    expect((await login(email, 'not this horse')).statusCode).toBe(401)
    expect(await stored()).toBe(imported)
    expect((await login(email, password)).statusCode).toBe(200)
    expect(await stored()).toMatch(/^np1:\$2b\$04\$/)
    expect((await login(email, password)).statusCode).toBe(200)
  })
})

describe('signing in', () => {
  it('fails alike, after one bcrypt of the same cost, whatever the reason, T16 T17', async () => {
    const [wrong, deactivated, googleOnly, bare] = await Promise.all(
      Array.from({ length: 4 }, () => world.person()),
    )
    const { id: deactivatedId, email: deactivatedEmail, password } = deactivated as Person
    await rowsOf('update users set is_active = false where id = $1', [deactivatedId])
    await rowsOf('update user_credentials set password_hash = null where user_id = $1', [googleOnly?.id])
    await rowsOf('delete from user_credentials where user_id = $1', [bare?.id])
    const compare = vi.spyOn(bcrypt, 'compare')
    onTestFinished(() => compare.mockRestore())

    const attempts = [
      ['unknown', newEmail(), 'some other horse'],
      ['wrong password', wrong?.email, 'some other horse'],
      ['deactivated, right password', deactivatedEmail, password],
      ['Google only', googleOnly?.email, googleOnly?.password],
      ['no credentials', bare?.email, bare?.password],
    ] as const
    const answers: Answer[] = []
    for (const [, email = '', guess = ''] of attempts) answers.push(await login(email, guess))
    const [first] = answers as [Answer]
    expectProblem(first, 401, 'invalid-credentials')
    expect(answers.map(comparable)).toEqual(attempts.map(() => comparable(first)))
    expect(compare.mock.calls.map(([, against]) => String(against).slice(0, 7))).toEqual(
      attempts.map(() => '$2b$04$'),
    )
  })

  it('starts a session of its own each time, which ends alone, T24', async () => {
    const ada = await world.person()
    const other = (await login(ada.email, ada.password)).json()
    expect((await ada.call('POST', '/api/auth/logout')).statusCode).toBe(204)
    expectOver(await me(ada.accessToken))
    expect((await me(other.accessToken)).statusCode).toBe(200)
    expect((await refresh(other.refreshToken)).statusCode).toBe(200)
  })
})

describe('a refresh token', () => {
  /** Moves the times of a person's sessions into the past. */
  const age = (ada: Person, column: string, interval: string) =>
    rowsOf(`update user_login_sessions set ${column} = ${column} - $2::interval where user_id = $1`, [
      ada.id,
      interval,
    ])

  it('is exchanged for the next one, with an access token that works', async () => {
    const ada = await world.person()
    const answer = await refresh(ada.refreshToken)
    expect(answer.statusCode).toBe(200)
    const next = answer.json()
    expect(next).toMatchObject({
      user: { id: ada.id, hasPassword: true },
      tokenType: 'Bearer',
      expiresIn: 600,
    })
    expect(next.refreshToken).not.toBe(ada.refreshToken)
    expect((await me(next.accessToken)).json()).toEqual(next.user)
    expect((await refresh(next.refreshToken)).statusCode).toBe(200)
  })

  it('that 50 use at once has one successor for all of them, T20', async () => {
    const ada = await world.person()
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(ada.refreshToken)))
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([200]))
    const successors = [...new Set(answers.map((answer) => answer.json().refreshToken))]
    expect(successors).toHaveLength(1)
    expect((await refresh(successors[0])).statusCode).toBe(200)
  })

  it('answers within the grace with the same successor, after it ends the session and its access tokens, T21', async () => {
    const ada = await world.person()
    const next = (await refresh(ada.refreshToken)).json()
    await age(ada, 'rotated_at', '9 seconds')
    expect((await refresh(ada.refreshToken)).json().refreshToken).toBe(next.refreshToken)
    await age(ada, 'rotated_at', '2 seconds')
    expect((await me(next.accessToken)).statusCode).toBe(200)
    expectOver(await refresh(ada.refreshToken))
    for (const token of [ada.accessToken, next.accessToken]) expectOver(await me(token))
    expectOver(await refresh(next.refreshToken))
    expect(await rowsOf('select end_reason from user_login_sessions where user_id = $1', [ada.id])).toEqual([
      { end_reason: 'reuse' },
    ])
  })

  it('two steps behind ends the session at once', async () => {
    const ada = await world.person()
    const next = (await refresh((await refresh(ada.refreshToken)).json().refreshToken)).json()
    expectOver(await refresh(ada.refreshToken))
    expectOver(await me(next.accessToken))
  })

  it.each([
    ['idle', 'idle_expires_at', '14 days'],
    ['old', 'expires_at', '30 days'],
  ])('of a session that is too %s is over, and so is the access token', async (_what, column, interval) => {
    const ada = await world.person()
    expect((await me(ada.accessToken)).statusCode).toBe(200)
    await age(ada, column, interval)
    expectOver(await refresh(ada.refreshToken))
    expectOver(await me(ada.accessToken))
  })

  it('renews the idle time, never beyond the end of the session', async () => {
    const ada = await world.person()
    await age(ada, 'idle_expires_at', '13 days')
    await refresh(ada.refreshToken)
    const left = `select round(extract(epoch from idle_expires_at - now()) / 86400)::int as idle from user_login_sessions where user_id = $1`
    expect(await rowsOf(left, [ada.id])).toEqual([{ idle: 14 }])
    await age(ada, 'expires_at', '29 days')
    await refresh((await refresh(ada.refreshToken)).json().refreshToken)
    expect(await rowsOf(left, [ada.id])).toEqual([{ idle: 1 }])
  })

  it('of a deactivated account is over, and so is the access token, T23', async () => {
    const ada = await world.person()
    await rowsOf('update users set is_active = false where id = $1', [ada.id])
    expectOver(await me(ada.accessToken))
    expectOver(await refresh(ada.refreshToken))
  })

  it('is no access token, nor the other way round', async () => {
    const ada = await world.person()
    expectOver(await me(ada.refreshToken))
    expectOver(await refresh(ada.accessToken))
    expectOver(await refresh(ada.refreshToken.slice(0, -1)))
  })

  it('of a server with other secrets is refused, like its access token', async () => {
    const stranger = await openServer()
    onTestFinished(stranger.close)
    const ada = await worldOf(stranger).person()
    expectOver(await me(ada.accessToken))
    expectOver(await refresh(ada.refreshToken))
    expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
  })
})

describe('signing out', () => {
  it('ends the session at once: its access token, its refresh token, and on every server, T22', async () => {
    const secrets = newSecrets()
    const servers = await Promise.all([
      openServer({}, undefined, { secrets }),
      openServer({}, undefined, { secrets }),
    ])
    onTestFinished(async () => void (await Promise.all(servers.map((server) => server.close()))))
    const [here, there] = servers.map(worldOf) as [World, World]
    const ada = await here.person()
    expect((await me(ada.accessToken, there)).statusCode).toBe(200)
    const answer = await ada.call('POST', '/api/auth/logout')
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    for (const everywhere of [here, there]) {
      expectOver(await me(ada.accessToken, everywhere))
      expectOver(await refresh(ada.refreshToken, everywhere))
    }
    expectOver(await ada.call('POST', '/api/auth/logout'))
  })
})

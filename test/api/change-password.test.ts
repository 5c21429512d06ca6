/** Another password for who is signed in, and what it puts an end to. */
import { randomBytes } from 'node:crypto'
import bcrypt from 'bcrypt'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { googleAccount, startGoogle } from '../support/google.ts'
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

const NEW = 'a new long password'
const change = (person: Person, fields: object = {}) =>
  person.call('POST', '/api/users/change-password', {
    body: { currentPassword: person.password, newPassword: NEW, ...fields },
  })
const login = ({ email }: Person, password: string, there = world) =>
  there.send('POST', '/api/auth/login', { body: { email, password } })
const me = (accessToken: string, there = world) =>
  there.send('GET', '/api/auth/me', { headers: { authorization: `Bearer ${accessToken}` } })
const refresh = (refreshToken: string, there = world) =>
  there.send('POST', '/api/auth/refresh', { body: { refreshToken } })
const logOf = ({ id }: Person) =>
  rowsOf('select act, outcome, detail from user_audit_log where user_id = $1 order by sequence', [id])
const storedOf = async ({ id }: Person) => {
  const [stored] = await rowsOf(
    `select c.password_hash as hash, c.password_version as version from users u join user_credentials c on c.user_id = u.id where u.id = $1`,
    [id],
  )
  return stored
}

describe('a changed password', () => {
  it('signs in from now on, and the old one does not', async () => {
    const ada = await world.person()
    const answer = await change(ada)
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    expectProblem(await login(ada, ada.password), 401, 'invalid-credentials')
    expect((await login(ada, NEW)).statusCode).toBe(200)
    expect(await storedOf(ada)).toEqual({ hash: expect.stringMatching(/^np1:\$2b\$04\$/), version: 2 })
  })

  it('ends every other login session at the next request, on every server, and not this one, T23 T24', async () => {
    const secrets = newSecrets()
    const servers = await Promise.all([
      openServer({}, undefined, { secrets }),
      openServer({}, undefined, { secrets }),
    ])
    onTestFinished(async () => void (await Promise.all(servers.map((server) => server.close()))))
    const [here, there] = servers.map(worldOf) as [World, World]
    const ada = await here.person()
    const others = await Promise.all([login(ada, ada.password, here), login(ada, ada.password, there)])
    for (const other of others) expect((await me(other.json().accessToken, there)).statusCode).toBe(200)
    expect((await change(ada)).statusCode).toBe(204)
    for (const other of others) {
      for (const everywhere of [here, there]) {
        expectProblem(await me(other.json().accessToken, everywhere), 401, 'unauthenticated')
        expectProblem(await refresh(other.json().refreshToken, everywhere), 401, 'unauthenticated')
      }
    }
    expect((await me(ada.accessToken, there)).statusCode).toBe(200)
    expect((await refresh(ada.refreshToken, there)).statusCode).toBe(200)
    const ends = await rowsOf(
      'select end_reason from user_login_sessions where user_id = $1 and ended_at is not null',
      [ada.id],
    )
    expect(ends).toEqual([{ end_reason: 'password-changed' }, { end_reason: 'password-changed' }])
  })

  it('leaves the other login sessions alone when told to, T24', async () => {
    const ada = await world.person()
    const other = (await login(ada, ada.password)).json()
    expect((await change(ada, { keepOtherSessions: true })).statusCode).toBe(204)
    expect((await me(other.accessToken)).statusCode).toBe(200)
    expect((await refresh(other.refreshToken)).statusCode).toBe(200)
    expect(
      (
        await change(ada, {
          currentPassword: NEW,
          newPassword: 'yet another password',
          keepOtherSessions: false,
        })
      ).statusCode,
    ).toBe(204)
    expectProblem(await me(other.accessToken), 401, 'unauthenticated')
  })

  it('lets nobody in who was signing in with the old one meanwhile, T23', async () => {
    const ada = await world.person()
    const compare = vi.spyOn(bcrypt, 'compare')
    onTestFinished(() => compare.mockRestore())
    // The password is right when the login asks; by the time it is answered there is another.
    compare.mockImplementationOnce(async () => {
      expect((await change(ada)).statusCode).toBe(204)
      return true
    })
    expectProblem(await login(ada, ada.password), 401, 'invalid-credentials')
    expect(
      await rowsOf('select id from user_login_sessions where user_id = $1 and ended_at is null', [ada.id]),
    ).toHaveLength(1)
  })

  it('stands in the log of its owner, without a word of it, T39', async () => {
    const ada = await world.person()
    expectProblem(await change(ada, { currentPassword: 'not the password' }), 403, 'wrong-password')
    await change(ada)
    const log = await logOf(ada)
    expect(log.map(({ act, outcome }) => [act, outcome])).toEqual([
      ['register', 'success'],
      ['changePassword', 'failure'],
      ['changePassword', 'success'],
    ])
    for (const password of [ada.password, NEW, 'not the password'])
      expect(JSON.stringify(log)).not.toContain(password)
  })
})

describe('the owner of an account', () => {
  it('is told by mail that the password was changed, and only then', async () => {
    const server = await openServer()
    onTestFinished(server.close)
    const ada = await worldOf(server).person()
    await change(ada, { currentPassword: 'not the password' })
    await change(ada, { newPassword: 'too short' })
    const told = () => server.mails.filter(({ kind }) => kind === 'password-changed').map(({ to }) => to)
    expect(told()).toEqual([])
    await change(ada)
    expect(told()).toEqual([ada.email])
  })
})

describe('changing a password', () => {
  it('takes the present one', async () => {
    const ada = await world.person()
    const before = await storedOf(ada)
    for (const currentPassword of ['not the password', `${ada.password} `, ada.password.toUpperCase()])
      expectProblem(await change(ada, { currentPassword }), 403, 'wrong-password')
    expect(await storedOf(ada)).toEqual(before)
    expect((await login(ada, ada.password)).statusCode).toBe(200)
  })

  it('takes one proof, and a password', async () => {
    const ada = await world.person()
    const post = (body: object) => ada.call('POST', '/api/users/change-password', { body })
    for (const body of [
      { newPassword: NEW },
      { currentPassword: ada.password },
      { currentPassword: ada.password, googleIdToken: 'x', newPassword: NEW },
      { currentPassword: '', newPassword: NEW },
      { currentPassword: ada.password, newPassword: NEW, keepOtherSessions: 'yes' },
    ])
      expectProblem(await post(body), 400, 'invalid-request')
    expectProblem(await post({ googleIdToken: 'x', newPassword: NEW }), 403, 'wrong-password')
  })

  it('asks of the new one what registration asks, before anything is checked', async () => {
    const ada = await world.person({ fullName: 'Augusta Ada' })
    const compare = vi.spyOn(bcrypt, 'compare')
    onTestFinished(() => compare.mockRestore())
    for (const [newPassword, code] of [
      ['elevenchars', 'too-short'],
      ['abcabcabcabc', 'predictable'],
      [ada.email, 'context-word'],
      ['AugustaAda15', 'context-word'],
      ['Password123!', 'common'],
    ]) {
      const { errors } = expectProblem(await change(ada, { newPassword }), 400, 'invalid-request')
      expect(errors).toMatchObject([{ path: '/body/newPassword', code }])
    }
    expect(compare).not.toHaveBeenCalled()
  })

  it('bounds the guesses of whoever holds a login session that is not theirs, T18', async () => {
    const ada = await world.person()
    const compare = vi.spyOn(bcrypt, 'compare')
    onTestFinished(() => compare.mockRestore())
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => change(ada, { currentPassword: 'not the password' })),
    )
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([
      ...Array(5).fill(403),
      ...Array(15).fill(429),
    ])
    expect(compare).toHaveBeenCalledTimes(5)
    expectProblem(await change(ada), 429, 'locked-out')
    // Their own lock, not the one that strangers can close: signing in goes on.
    expect((await login(ada, ada.password)).statusCode).toBe(200)
    const log = await logOf(ada)
    expect(log.filter(({ detail }) => detail?.lockedOut)).toHaveLength(1)
  })

  it('gives an account that signs in with Google alone its first one, by a fresh token of that Google account', async () => {
    const standIn = await startGoogle()
    const server = await openServer(standIn.env)
    onTestFinished(async () => void (await Promise.all([server.close(), standIn.close()])))
    const { send } = worldOf(server)
    const account = googleAccount()
    const { accessToken, user } = (
      await send('POST', '/api/auth/google', { body: { idToken: standIn.idToken(account) } })
    ).json()
    expect(user.hasPassword).toBe(false)
    const choose = (proof: object) =>
      send('POST', '/api/users/change-password', {
        body: { ...proof, newPassword: NEW },
        headers: { authorization: `Bearer ${accessToken}` },
      })
    const stale = { ...account, iat: Math.floor(Date.now() / 1_000) - 900 }
    for (const proof of [
      { currentPassword: NEW },
      ...[googleAccount(), stale].map((claims) => ({ googleIdToken: standIn.idToken(claims) })),
    ])
      expectProblem(await choose(proof), 403, 'wrong-password')
    expect((await choose({ googleIdToken: standIn.idToken(account) })).statusCode).toBe(204)
    const signedIn = await send('POST', '/api/auth/login', { body: { email: user.email, password: NEW } })
    expect(signedIn.json().user).toEqual({ ...user, hasPassword: true })
  })

  it('is not held back by strangers who guess at the login, T19', async () => {
    const ada = await world.person()
    await Promise.all(Array.from({ length: 10 }, () => login(ada, 'not the password')))
    expectProblem(await login(ada, ada.password), 429, 'locked-out')
    expect((await change(ada)).statusCode).toBe(204)
    // And ends what they have closed: that was of the old password.
    expect((await login(ada, NEW)).statusCode).toBe(200)
  })

  it('voids what was sent by mail before: tokens are of the password that was, T25', async () => {
    const ada = await world.person()
    await rowsOf(
      `insert into user_tokens (user_id, purpose, token_sha256, email, password_version, expires_at)
        select id, 'reset-password', sha256('x'), email, password_version, now() + interval '1 hour' from users join user_credentials on user_id = id where id = $1`,
      [ada.id],
    )
    const live = `select from user_tokens t join user_credentials u on u.user_id = t.user_id where u.user_id = $1 and t.password_version = u.password_version and t.purpose = 'reset-password'`
    expect(await rowsOf(live, [ada.id])).toHaveLength(1)
    await change(ada)
    expect(await rowsOf(live, [ada.id])).toHaveLength(0)
  })

  it('needs a login session that is live', async () => {
    const ada = await world.person()
    await ada.call('POST', '/api/auth/logout')
    expectProblem(await change(ada), 401, 'unauthenticated')
    expect((await login(ada, ada.password)).statusCode).toBe(200)
  })

  it('at once with different ones leaves one of them', async () => {
    const ada = await world.person()
    const choices = Array.from({ length: 4 }, () => `pw ${randomBytes(12).toString('base64')}`)
    const answers: Answer[] = await Promise.all(choices.map((newPassword) => change(ada, { newPassword })))
    for (const answer of answers) expect([204, 401, 403]).toContain(answer.statusCode)
    const logins: Answer[] = []
    for (const choice of choices) logins.push(await login(ada, choice))
    expect(logins.filter(({ statusCode }) => statusCode === 200)).toHaveLength(1)
    expect((await me(ada.accessToken)).statusCode).toBe(200)
  })

  it('says the same about any proof that does not hold, T17', async () => {
    const ada = await world.person()
    const wrong = await change(ada, { currentPassword: 'not the password' })
    await rowsOf('update user_credentials set password_hash = null where user_id = $1', [ada.id])
    expect(comparable(await change(ada))).toEqual(comparable(wrong))
  })
})

describe('wrong passwords of who is signed in', () => {
  it('are told to the owner when they are too many: somebody may have their session', async () => {
    const server = await openServer()
    onTestFinished(server.close)
    const ada = await worldOf(server).person()
    for (let n = 0; n < 5; n += 1)
      await ada.call('POST', '/api/users/deactivate', { body: { password: 'wrong' } })
    expectProblem(
      await ada.call('POST', '/api/users/deactivate', { body: { password: ada.password } }),
      429,
      'locked-out',
    )
    expect(server.mails.filter(({ to }) => to === ada.email).at(-1)).toMatchObject({
      kind: 'password-guessed',
    })
    expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
  })
})

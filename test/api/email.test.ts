/** What a mailbox proves: an address that is one's own, a password that was lost, an invitation. T17, T25. */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { comparable, expectProblem } from '../support/problems.ts'
import {
  linkProvider,
  openServer,
  type Person,
  rowsOf,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

let server: TestServer
let world: World
beforeAll(async () => {
  server = await openServer({ APP_URL: 'https://app.example.com' })
  world = worldOf(server)
  return server.close
})

const TOKEN = /npt_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}/
/** Mails that went to an address, when what is asked for later has been done. */
const mailsTo = async (email: string, there = server) => {
  await there.settled()
  return there.mails.filter(({ to }) => to === email)
}
const lastToken = async (email: string, kind: string, there = server) => {
  const mail = (await mailsTo(email, there)).findLast((each) => each.kind === kind)
  return TOKEN.exec(mail?.text ?? '')?.[0] ?? ''
}
/** Another token, whatever the last character was. */
const mistyped = (token: string) => token.slice(0, -1) + (token.endsWith('0') ? '1' : '0')
const post = (url: string, body: object) => world.send('POST', url, { body })
const forgot = (email: string) => post('/api/auth/forgot-password', { email })
const reset = (token: string, newPassword = `new ${randomUUID()}`) =>
  post('/api/auth/reset-password', { token, newPassword })
const verify = (token: string) => post('/api/auth/verify-email', { token })
const login = (email: string, password: string) => post('/api/auth/login', { email, password })
const statusOf = async (person: Person) => (await person.call('GET', '/api/users/account-status')).json()
const resetTokenOf = async ({ email }: Person) => {
  expect((await forgot(email)).statusCode).toBe(202)
  return lastToken(email, 'reset-password')
}

describe('an address', () => {
  it('is confirmed with the mail that registration sends, once; registration does not wait for it', async () => {
    const ada = await world.person()
    expect(await statusOf(ada)).toMatchObject({ emailVerified: false })
    const token = await lastToken(ada.email, 'verify-email')
    expect((await mailsTo(ada.email))[0]?.text).toContain('https://app.example.com/verify-email#token=')
    expect((await verify(token)).statusCode).toBe(204)
    expect(await statusOf(ada)).toMatchObject({ emailVerified: true })
    expectProblem(await verify(token), 400, 'invalid-token')
    expectProblem(await verify(mistyped(token)), 400, 'invalid-token')
    expectProblem(await reset(token), 400, 'invalid-token')
  })

  it('has the mail sent again, unless it is confirmed or nobody’s, and nobody is told which', async () => {
    const [ada, bob] = [await world.person(), await world.person()]
    await verify(await lastToken(bob.email, 'verify-email'))
    const stranger = `${randomUUID()}@example.com`
    const answers = await Promise.all(
      [ada.email, bob.email, stranger].map((email) => post('/api/auth/resend-verification', { email })),
    )
    expect(answers.map(comparable)).toEqual(Array.from(answers, () => comparable(answers[0] as never)))
    expect(answers[0]?.statusCode).toBe(202)
    expect((await mailsTo(ada.email)).filter(({ kind }) => kind === 'verify-email')).toHaveLength(2)
    expect((await mailsTo(bob.email)).filter(({ kind }) => kind === 'verify-email')).toHaveLength(1)
    expect(await mailsTo(stranger)).toEqual([])
  })

  it('gets five mails an hour at most because somebody asked for them, whether or not it has an account', async () => {
    const ada = await world.person()
    for (let n = 0; n < 8; n += 1) expect((await forgot(ada.email)).statusCode).toBe(202)
    expect((await mailsTo(ada.email)).filter(({ kind }) => kind === 'reset-password')).toHaveLength(5)
  })
})

describe('a lost password', () => {
  it('is replaced with the token of a mail: every session ends, nobody is signed in, the owner is told, T24 T25', async () => {
    const ada = await world.person()
    const token = await resetTokenOf(ada)
    const answer = await reset(token, 'an entirely new password')
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    expectProblem(await ada.call('GET', '/api/auth/me'), 401, 'unauthenticated')
    expectProblem(await post('/api/auth/refresh', { refreshToken: ada.refreshToken }), 401, 'unauthenticated')
    expectProblem(await login(ada.email, ada.password), 401, 'invalid-credentials')
    const back = await login(ada.email, 'an entirely new password')
    expect(back.statusCode).toBe(200)
    expect(back.json().user).toMatchObject({ emailVerified: true })
    expect((await mailsTo(ada.email)).at(-1)).toMatchObject({ kind: 'password-changed' })
    const acts = await rowsOf(
      `select act from user_audit_log where user_id = $1 and outcome = 'success' order by sequence`,
      [ada.id],
    )
    expect(acts.map(({ act }) => act)).toEqual(['register', 'forgotPassword', 'resetPassword', 'login'])
  })

  it('is asked for with the same answer, whoever has that address, T17', async () => {
    const [ada, gone] = [await world.person(), await world.person()]
    await rowsOf('update users set is_active = false where id = $1', [gone.id])
    const stranger = `${randomUUID()}@example.com`
    const answers = await Promise.all([ada.email, gone.email, stranger].map(forgot))
    expect(answers.map(comparable)).toEqual(Array.from(answers, () => comparable(answers[0] as never)))
    expect(await lastToken(ada.email, 'reset-password')).toMatch(TOKEN)
    expect(await lastToken(gone.email, 'reset-password')).toBe('')
    expect(await mailsTo(stranger)).toEqual([])
  })

  it('is replaced once with a token, also by ten requests at once, T25', async () => {
    const token = await resetTokenOf(await world.person())
    const statuses = (await Promise.all(Array.from({ length: 10 }, () => reset(token)))).map(
      ({ statusCode }) => statusCode,
    )
    expect(statuses.filter((status) => status === 204)).toHaveLength(1)
    expect(statuses.filter((status) => status === 400)).toHaveLength(9)
  })

  it('is not replaced by a token that has expired, is of another password or another address, or of somebody else, T25', async () => {
    const [ada, bob] = [await world.person(), await world.person()]
    const tokens = [await resetTokenOf(ada), await resetTokenOf(ada)] as [string, string]
    expect((await reset(tokens[0])).statusCode).toBe(204)
    expectProblem(await reset(tokens[1]), 400, 'invalid-token')
    const expired = await resetTokenOf(bob)
    await rowsOf(`update user_tokens set expires_at = now() where user_id = $1`, [bob.id])
    expectProblem(await reset(expired), 400, 'invalid-token')
    const moved = await resetTokenOf(bob)
    await rowsOf(`update users set email = $2 where id = $1`, [bob.id, `${randomUUID()}@example.com`])
    expectProblem(await reset(moved), 400, 'invalid-token')
    // Another's id in front of it.
    const eve = await world.person()
    const hers = await resetTokenOf(eve)
    expectProblem(await reset(tokens[1].slice(0, 26) + hers.slice(26)), 400, 'invalid-token')
    expect((await reset(hers)).statusCode).toBe(204)
  })

  it('is good for half an hour, and only its SHA-256 is stored, T25', async () => {
    const ada = await world.person()
    const token = await resetTokenOf(ada)
    const [row] = await rowsOf(
      `select extract(epoch from expires_at - created_at)::int as seconds, row_to_json(t)::text as row from user_tokens t
        where user_id = $1 and purpose = 'reset-password'`,
      [ada.id],
    )
    expect(row?.seconds).toBe(1_800)
    expect(row?.row).not.toContain(token.slice(27))
  })

  it('is replaced by one that keeps the rules, or by none, and the token stays good', async () => {
    const ada = await world.person({ fullName: 'Countess Lovelace' })
    const token = await resetTokenOf(ada)
    for (const weak of ['short', 'password1234', ada.email, 'Countess Lovelace!'])
      expectProblem(await reset(token, weak), 400, 'invalid-request')
    expect((await reset(token)).statusCode).toBe(204)
  })

  it('is replaced although guesses have locked it, and the new one signs in at once: that lockout was of the old one, T19 T25', async () => {
    const ada = await world.person()
    const lockBoth = async () => {
      for (let n = 0; n < 5; n += 1) await login(ada.email, 'wrong')
      for (let n = 0; n < 5; n += 1)
        await ada.call('POST', '/api/users/deactivate', { body: { password: 'wrong' } })
    }
    await lockBoth()
    expectProblem(await login(ada.email, ada.password), 429, 'locked-out')
    expectProblem(
      await ada.call('POST', '/api/users/deactivate', { body: { password: ada.password } }),
      429,
      'locked-out',
    )
    const told = (await mailsTo(ada.email)).find(({ kind }) => kind === 'account-locked')
    expect(told?.text.replaceAll('\n', ' ')).toContain('choose a new password: then you can sign in at once')
    expect((await reset(await resetTokenOf(ada), 'an entirely new password')).statusCode).toBe(204)
    const back = await login(ada.email, 'an entirely new password')
    expect(back.statusCode).toBe(200)
    const headers = { authorization: `Bearer ${back.json().accessToken}` }
    const body = { password: 'an entirely new password' }
    expect((await world.send('POST', '/api/users/deactivate', { body, headers })).statusCode).toBe(204)
  })

  it('leaves the lockout of its address alone when the token is not good, T19 T25', async () => {
    const ada = await world.person()
    const token = await resetTokenOf(ada)
    for (let n = 0; n < 5; n += 1) await login(ada.email, 'wrong')
    expectProblem(await reset(mistyped(token)), 400, 'invalid-token')
    expectProblem(await reset(token, 'short'), 400, 'invalid-request')
    expectProblem(await login(ada.email, ada.password), 429, 'locked-out')
  })

  it('never has its link built from what a request says about the host, T25', async () => {
    const ada = await world.person()
    await world.send('POST', '/api/auth/forgot-password', {
      body: { email: ada.email },
      headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example', origin: 'https://evil.example' },
    })
    const mail = (await mailsTo(ada.email)).at(-1)
    expect(mail?.text).toContain('https://app.example.com/reset-password#token=')
    expect(mail?.text + String(mail?.html)).not.toContain('evil')
  })

  it('of an address that was never confirmed leaves whoever registered it no way in, T10', async () => {
    const squatter = await world.person()
    const script = (
      await squatter.call('POST', '/api/users/keys', {
        body: { scopes: ['routers:read'], password: squatter.password },
      })
    ).json()
    await linkProvider(squatter.id, 'google', randomUUID())
    expect((await reset(await resetTokenOf(squatter), 'the password of the owner')).statusCode).toBe(204)
    expectProblem(
      await world.send('GET', '/api/routers', { headers: { 'x-api-key': script.key } }),
      401,
      'unauthenticated',
    )
    for (const table of ['user_providers', 'user_identities'])
      expect(await rowsOf(`select from ${table} where user_id = $1`, [squatter.id]), table).toEqual([])
    expect((await login(squatter.email, 'the password of the owner')).statusCode).toBe(200)
  })
})

describe('another address', () => {
  const change = (person: Person, newEmail: string, password = person.password) =>
    person.call('POST', '/api/users/change-email', { body: { newEmail, password } })

  it('is used once its mailbox answers; both addresses are told', async () => {
    const ada = await world.person()
    const to = `${randomUUID()}@example.com`
    expect((await change(ada, ` ${to.toUpperCase()} `)).statusCode).toBe(202)
    expect((await mailsTo(ada.email)).at(-1)).toMatchObject({ kind: 'address-is-changing' })
    expect((await ada.call('GET', '/api/auth/me')).json()).toMatchObject({ email: ada.email })
    expect((await verify(await lastToken(to, 'change-email'))).statusCode).toBe(204)
    expect((await mailsTo(ada.email)).at(-1)).toMatchObject({ kind: 'address-was-changed' })
    expect((await ada.call('GET', '/api/auth/me')).json()).toMatchObject({ email: to, emailVerified: true })
    expect((await login(to, ada.password)).statusCode).toBe(200)
    expectProblem(await login(ada.email, ada.password), 401, 'invalid-credentials')
  })

  it('takes the password', async () => {
    const ada = await world.person()
    expectProblem(await change(ada, `${randomUUID()}@example.com`, 'wrong'), 403, 'wrong-password')
    expectProblem(await change(ada, ada.email), 400, 'invalid-request')
  })

  it('that is somebody else’s is asked for with the same answer, and gets no mail, T17', async () => {
    const [ada, bob] = [await world.person(), await world.person()]
    const free = await change(ada, `${randomUUID()}@example.com`)
    const before = (await mailsTo(bob.email)).length
    expect(comparable(await change(ada, bob.email))).toEqual(comparable(free))
    expect(await mailsTo(bob.email)).toHaveLength(before)
  })

  it('that somebody else took meanwhile is 409, and nothing changes; changing the password stops it too', async () => {
    const [ada, eve] = [await world.person(), await world.person()]
    const [to, other] = [`${randomUUID()}@example.com`, `${randomUUID()}@example.com`]
    await change(ada, to)
    const bob = await world.person({ email: to })
    const token = await lastToken(to, 'change-email')
    expectProblem(await verify(token), 409, 'email-taken')
    expect((await ada.call('GET', '/api/auth/me')).json()).toMatchObject({ email: ada.email })
    expect((await bob.call('GET', '/api/auth/me')).json()).toMatchObject({ email: to })
    await change(eve, other)
    expect((await reset(await resetTokenOf(eve))).statusCode).toBe(204)
    expectProblem(await verify(await lastToken(other, 'change-email')), 400, 'invalid-token')
  })
})

describe('registration with verification on', () => {
  const opened = async () => {
    const there = await openServer({ EMAIL_VERIFICATION: 'on' })
    onTestFinished(there.close)
    return there
  }
  const registerAt = (there: TestServer, email: string, password = 'an entirely new password') =>
    worldOf(there).send('POST', '/api/auth/register', { body: { email, password } })
  const loginAt = (there: TestServer, email: string, password = 'an entirely new password') =>
    worldOf(there).send('POST', '/api/auth/login', { body: { email, password } })

  it('answers the same whether or not the address is known, and tells its owner instead, T17', async () => {
    const there = await opened()
    const email = `${randomUUID()}@example.com`
    const [first, second] = [await registerAt(there, email), await registerAt(there, email)]
    expect([first.statusCode, first.json()]).toEqual([202, { status: 'check-your-mail' }])
    expect(comparable(second)).toEqual(comparable(first))
    expect((await mailsTo(email, there)).map(({ kind }) => kind)).toEqual([
      'verify-email',
      'registration-attempted',
    ])
    const acts = await rowsOf(
      'select act, outcome from user_audit_log l join users u on u.id = l.user_id where u.email = $1 order by sequence',
      [email],
    )
    expect(acts).toEqual([
      { act: 'register', outcome: 'success' },
      { act: 'register', outcome: 'failure' },
    ])
  })

  it('lets nobody in before the address is confirmed, and says so to who knows the password only', async () => {
    const there = await opened()
    const email = `${randomUUID()}@example.com`
    await registerAt(there, email)
    expectProblem(await loginAt(there, email, 'wrong'), 401, 'invalid-credentials')
    expectProblem(await loginAt(there, email), 403, 'email-unverified')
    const token = await lastToken(email, 'verify-email', there)
    expect(
      (await worldOf(there).send('POST', '/api/auth/verify-email', { body: { token } })).statusCode,
    ).toBe(204)
    expect((await loginAt(there, email)).statusCode).toBe(200)
  })
})

describe('an invitation', () => {
  it('makes an account whose owner chooses the password, within a week', async () => {
    const root = await world.administrator()
    const email = `${randomUUID()}@example.com`
    const answer = await root.call('POST', '/api/admin/users', { body: { email, fullName: 'Bob' } })
    expect(answer.statusCode).toBe(201)
    expect(answer.json()).toMatchObject({
      email,
      fullName: 'Bob',
      role: 'user',
      hasPassword: false,
      emailVerified: false,
    })
    expect(answer.body).not.toMatch(TOKEN)
    // Somebody who knows of the invitation keeps nobody out by it.
    for (let n = 0; n < 5; n += 1) await login(email, 'wrong')
    expect((await reset(await lastToken(email, 'invitation'), 'an entirely new password')).statusCode).toBe(
      204,
    )
    expect((await login(email, 'an entirely new password')).json().user).toMatchObject({
      id: answer.json().id,
      emailVerified: true,
    })
    expectProblem(await root.call('POST', '/api/admin/users', { body: { email } }), 409, 'email-taken')
    const [act] = await rowsOf(
      'select act, actor_kind, actor_id from user_audit_log where user_id = $1 order by sequence limit 1',
      [answer.json().id],
    )
    expect(act).toEqual({ act: 'inviteUser', actor_kind: 'admin', actor_id: root.id })
  })

  it('of an administrator’s to choose a new password goes to the owner, and to nobody else', async () => {
    const [root, ada] = [await world.administrator(), await world.person()]
    const answer = await root.call('POST', `/api/admin/users/${ada.id}/reset-password`)
    expect(answer.statusCode).toBe(202)
    expect(answer.body).not.toMatch(TOKEN)
    expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
    expect(
      (await reset(await lastToken(ada.email, 'reset-password'), 'an entirely new password')).statusCode,
    ).toBe(204)
    expectProblem(await ada.call('GET', '/api/auth/me'), 401, 'unauthenticated')
    expectProblem(
      await root.call('POST', `/api/admin/users/${randomUUID()}/reset-password`),
      404,
      'not-found',
    )
  })
})

describe('owners are told', () => {
  it('that their account was deactivated or deleted', async () => {
    const ada = await world.person()
    const proof = { body: { password: ada.password } }
    await ada.call('POST', '/api/users/deactivate', proof)
    expect((await mailsTo(ada.email)).at(-1)).toMatchObject({ kind: 'account-deactivated' })
    const { accessToken } = (
      await post('/api/users/reactivate', { email: ada.email, password: ada.password })
    ).json()
    await world.send('DELETE', '/api/users/account', {
      ...proof,
      headers: { authorization: `Bearer ${accessToken}` },
    })
    expect((await mailsTo(ada.email)).at(-1)).toMatchObject({ kind: 'account-deleted' })
  })
})

describe('no token of a mail', () => {
  it('is ever in a log, T39', async () => {
    const there = await openServer({ LOG_LEVEL: 'trace' })
    onTestFinished(there.close)
    const ada = await worldOf(there).person()
    await worldOf(there).send('POST', '/api/auth/forgot-password', { body: { email: ada.email } })
    const token = await lastToken(ada.email, 'reset-password', there)
    await worldOf(there).send('POST', '/api/auth/reset-password', { body: { token, newPassword: 'short' } })
    await worldOf(there).send('POST', '/api/auth/reset-password', {
      body: { token, newPassword: 'a secret of the new kind' },
    })
    const log = there.logged.join('\n')
    expect(log).toContain('/api/auth/reset-password')
    for (const secret of [token, 'a secret of the new kind', ada.email]) expect(log).not.toContain(secret)
  })
})

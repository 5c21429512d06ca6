/**
 * What a mailbox or Google alone can do to an account never switches its second factor off, whether or not
 * the address is confirmed.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSingleUseToken } from '../../src/auth/one-time-tokens/single-use-token.ts'
import { FRONTEND, googleAccount, type StandInGoogle, startGoogle } from '../support/google.ts'
import { tokenIn } from '../support/mail.ts'
import { expectProblem } from '../support/problems.ts'
import {
  appOf,
  codeOf,
  confirm,
  type Enrolled,
  enrolledIn,
  FACTOR_PATH,
  setUp,
  wrongCodeOf,
} from '../support/second-factor.ts'
import {
  type Answer,
  linkProvider,
  openServer,
  rowsOf,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

let standIn: StandInGoogle
let server: TestServer
let world: World
beforeAll(async () => {
  standIn = await startGoogle()
  server = await openServer(standIn.env)
  world = worldOf(server)
})
afterAll(async () => {
  await server.close()
  await standIn.close()
})

const post = (url: string, body: object) => world.send('POST', url, { body })
const login = (email: string, password: string) => post('/api/auth/login', { email, password })
const newPassword = () => `new ${randomUUID()}`
const mailsTo = async (email: string) => {
  await server.settled()
  return server.mails.filter(({ to }) => to === email)
}
const mailedTo = async (email: string, kind: string) => {
  const mail = (await mailsTo(email)).findLast((each) => each.kind === kind)
  return (mail && tokenIn(mail)) ?? ''
}
/** A token as it would have been mailed some time ago. */
async function tokenOf({ id }: Enrolled, purpose: string) {
  const { token, sha256 } = makeSingleUseToken(id)
  await rowsOf(
    `insert into user_tokens (user_id, purpose, token_sha256, email, password_version, expires_at)
      select id, $2, $3, email, password_version, now() + interval '1 hour' from users join user_credentials on user_id = id where id = $1`,
    [id, purpose, sha256],
  )
  return token
}
async function reset(who: Enrolled, token: string) {
  const password = newPassword()
  expect((await post('/api/auth/reset-password', { token, newPassword: password })).statusCode).toBe(204)
  return () => login(who.email, password)
}
const withGoogle = ({ email }: Enrolled, sub: string) =>
  post('/api/auth/google', { idToken: standIn.idToken(googleAccount({ sub, email })) })
const newSub = () => googleAccount().sub

/** Each does what it can, and says how to sign in afterwards. */
const WAYS: Record<string, (who: Enrolled) => Promise<() => Promise<Answer>>> = {
  'a lost password': async (who) => {
    expect((await post('/api/auth/forgot-password', { email: who.email })).statusCode).toBe(202)
    return reset(who, await mailedTo(who.email, 'reset-password'))
  },
  'an invitation': async (who) => reset(who, await tokenOf(who, 'invitation')),
  'a confirmed address': async (who) => {
    expect(
      (await post('/api/auth/verify-email', { token: await tokenOf(who, 'verify-email') })).statusCode,
    ).toBe(204)
    return () => login(who.email, who.password)
  },
  'another address': async (who) => {
    const newEmail = `${randomUUID()}@example.com`
    await who.call('POST', '/api/users/change-email', { body: { newEmail, password: who.password } })
    expect(
      (await post('/api/auth/verify-email', { token: await mailedTo(newEmail, 'change-email') })).statusCode,
    ).toBe(204)
    return () => login(newEmail, who.password)
  },
  'an ID token of Google': async (who) => {
    const sub = newSub()
    expectProblem(await withGoogle(who, sub), 401, 'second-factor-required')
    return () => withGoogle(who, sub)
  },
  'the way to Google and back': async (who) => {
    const account = googleAccount({ email: who.email })
    const walk = async () => {
      const begun = await world.send('GET', '/api/auth/google/start', { query: { returnTo: FRONTEND } })
      const [cookie] = begun.cookies as { name: string; value: string }[]
      const { pathname, search } = await standIn.consent(String(begun.headers.location), account)
      const back = await world.send('GET', pathname + search, {
        headers: { cookie: `${cookie?.name}=${cookie?.value}` },
      })
      return post('/api/auth/exchange', {
        code: new URL(String(back.headers.location)).searchParams.get('code') ?? '',
      })
    }
    expectProblem(await walk(), 401, 'second-factor-required')
    return walk
  },
}
const STATES = ['confirmed', 'never confirmed'] as const

describe('a second factor', () => {
  it.each(Object.keys(WAYS).flatMap((way) => STATES.map((state) => [way, state] as const)))(
    'is asked for after %s, the address being %s, and is the same one',
    async (way, state) => {
      const ada = await enrolledIn(world, { email: `${randomUUID()}@gmail.com` })
      // As before addresses had to be confirmed for it.
      if (state === 'never confirmed')
        await rowsOf('update users set email_verified_at = null where id = $1', [ada.id])
      const signIn = await WAYS[way]?.(ada)
      const { challenge = '' } = expectProblem((await signIn?.()) as Answer, 401, 'second-factor-required')
      expectProblem(await post(FACTOR_PATH, { challenge, code: wrongCodeOf(ada.app) }), 401, 'wrong-code')
      expect((await post(FACTOR_PATH, { challenge, code: await ada.code() })).json().user?.id).toBe(ada.id)
      const { challenge: another = '' } = expectProblem(
        (await signIn?.()) as Answer,
        401,
        'second-factor-required',
      )
      expect((await post(FACTOR_PATH, { challenge: another, code: ada.recoveryCodes[0] })).statusCode).toBe(
        200,
      )
    },
  )

  it('is not switched on, nor offered, before the address is confirmed; the password is asked for first', async () => {
    const ada = await world.person()
    const stored = () =>
      rowsOf('select totp_secret, totp_confirmed_at from user_credentials where user_id = $1', [ada.id])
    const nothing = [{ totp_secret: null, totp_confirmed_at: null }]
    expectProblem(await setUp(ada, { password: 'not the password' }), 403, 'wrong-password')
    const refused = [await setUp(ada), await confirm(ada, '123456')]
    for (const answer of refused)
      expect(expectProblem(answer, 403, 'email-unverified').detail).toMatch(/resend-verification/)
    expect(await stored()).toEqual(nothing)

    // Nor where one was offered before.
    const bob = await world.confirmedPerson()
    const app = appOf((await setUp(bob)).json().uri)
    await rowsOf('update users set email_verified_at = null where id = $1', [bob.id])
    expectProblem(await confirm(bob, codeOf(app)), 403, 'email-unverified')
    expect((await login(bob.email, bob.password)).statusCode).toBe(200)

    await post('/api/auth/resend-verification', { email: ada.email })
    expect(
      (await post('/api/auth/verify-email', { token: await mailedTo(ada.email, 'verify-email') })).statusCode,
    ).toBe(204)
    expect((await confirm(ada, codeOf(appOf((await setUp(ada)).json().uri)))).statusCode).toBe(200)
  })

  it('that was only offered goes with the rest, when the owner of the address comes', async () => {
    const eve = await world.confirmedPerson()
    await setUp(eve)
    await rowsOf('update users set email_verified_at = null where id = $1', [eve.id])
    await post('/api/auth/forgot-password', { email: eve.email })
    await post('/api/auth/reset-password', {
      token: await mailedTo(eve.email, 'reset-password'),
      newPassword: newPassword(),
    })
    expect(await rowsOf('select totp_secret from user_credentials where user_id = $1', [eve.id])).toEqual([
      { totp_secret: null },
    ])
  })
})

describe('what is taken from an account', () => {
  const squatted = async () => {
    const eve = await world.person({ email: `${randomUUID()}@gmail.com` })
    expect((await login(eve.email, eve.password)).statusCode).toBe(200)
    expect(
      (
        await eve.call('POST', '/api/users/keys', {
          body: { scopes: ['routers:read'], password: eve.password },
        })
      ).statusCode,
    ).toBe(201)
    return eve
  }
  const forgotten = async ({ email }: { email: string }) => {
    await post('/api/auth/forgot-password', { email })
    const token = await mailedTo(email, 'reset-password')
    expect((await post('/api/auth/reset-password', { token, newPassword: newPassword() })).statusCode).toBe(
      204,
    )
  }
  /** The words of the last mail, as one line. */
  const lastWords = async (email: string, kind: string) => {
    const mail = (await mailsTo(email)).at(-1)
    expect(mail?.kind).toBe(kind)
    return mail?.text.replaceAll('\n', ' ') ?? ''
  }

  it('by a reset is told to its owner by one mail', async () => {
    const eve = await squatted()
    await linkProvider(eve.id, 'google', newSub())
    const before = (await mailsTo(eve.email)).length
    await forgotten(eve)
    expect(await lastWords(eve.email, 'password-changed')).toContain(
      'Removed with that: 2 login sessions, the link to a Google account, and 1 personal key for scripts.',
    )
    // That of the token, and this one.
    expect(await mailsTo(eve.email)).toHaveLength(before + 2)
    await forgotten(eve)
    expect(await lastWords(eve.email, 'password-changed')).not.toContain('Removed')
  })

  it('by a reset of a confirmed address is its login sessions and personal keys, and nothing else', async () => {
    const ada = await world.confirmedPerson()
    const { key } = (
      await ada.call('POST', '/api/users/keys', {
        body: { scopes: ['routers:read'], password: ada.password },
      })
    ).json()
    await forgotten(ada)
    expect(await lastWords(ada.email, 'password-changed')).toContain(
      'Removed with that: 1 login session and 1 personal key for scripts.',
    )
    expect((await world.send('GET', '/api/routers', { headers: { 'x-api-key': key } })).statusCode).toBe(401)
  })

  it('by another password is told as well', async () => {
    const ada = await world.person()
    const change = (currentPassword: string, next: string) =>
      ada.call('POST', '/api/users/change-password', { body: { currentPassword, newPassword: next } })
    await login(ada.email, ada.password)
    await change(ada.password, 'a new long password')
    expect(await lastWords(ada.email, 'password-changed')).toContain('Removed with that: 1 login session.')
    await change('a new long password', 'yet another password')
    expect(await lastWords(ada.email, 'password-changed')).not.toContain('Removed')
  })

  it('by an invitation that is taken up is nothing', async () => {
    const root = await world.administrator()
    const email = `${randomUUID()}@example.com`
    await root.call('POST', '/api/admin/users', { body: { email } })
    const token = await mailedTo(email, 'invitation')
    expect((await post('/api/auth/reset-password', { token, newPassword: newPassword() })).statusCode).toBe(
      204,
    )
    expect(await lastWords(email, 'password-changed')).not.toContain('Removed')
  })

  it.each([
    ['an ID token', WAYS['an ID token of Google']],
    ['the redirect', WAYS['the way to Google and back']],
  ])('when Google vouches for the owner of the address, by %s, is told to them', async (_how, arrive) => {
    const eve = await enrolledIn(world, { email: `${randomUUID()}@gmail.com` })
    await rowsOf('update users set email_verified_at = null where id = $1', [eve.id])
    const again = await arrive?.(eve)
    expect(await lastWords(eve.email, 'account-claimed')).toContain(
      'Removed with that: the password and 1 login session.',
    )
    const told = (await mailsTo(eve.email)).length
    expectProblem((await again?.()) as Answer, 401, 'second-factor-required')
    expect(await mailsTo(eve.email)).toHaveLength(told)
  })
})

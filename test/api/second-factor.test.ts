/** The second factor: switching it on and off, signing in with it, and guessing at it. */
import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { makeSingleUseToken } from '../../src/auth/one-time-tokens/single-use-token.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { asAdmin } from '../support/database.ts'
import { googleAccount, startGoogle } from '../support/google.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import {
  appOf,
  codeOf,
  confirm,
  enrolledIn,
  FACTOR_PATH,
  letTimePass,
  setUp,
  wrongCodeOf,
} from '../support/second-factor.ts'
import {
  type Answer,
  linkProvider,
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

const PATH = FACTOR_PATH

const login = ({ email, password }: Person, { send } = world) =>
  send('POST', '/api/auth/login', { body: { email, password } })
const challengeFor = async (who: Person, at = world) =>
  expectProblem(await login(who, at), 401, 'second-factor-required').challenge ?? ''
const answer = (challenge: string, code: string, { send } = world) =>
  send('POST', PATH, { body: { challenge, code } })
const signIn = async (who: Person, code: string, at = world) => answer(await challengeFor(who, at), code, at)
const status = async (who: Person) => (await who.call('GET', PATH)).json()
const renew = (who: Person, code: string) => who.call('POST', `${PATH}/recovery-codes`, { body: { code } })
const disable = (who: Person, code: string, proof: object = { password: who.password }) =>
  who.call('POST', `${PATH}/disable`, { body: { ...proof, code } })
const statuses = (answers: Answer[]) => answers.map(({ statusCode }) => statusCode).sort()
const sessionsOf = async ({ id }: Person) =>
  (await rowsOf('select 1 from user_login_sessions where user_id = $1', [id])).length

const enrolled = (at = world) => enrolledIn(at)

describe('a second factor', () => {
  it('is set up, confirmed, and from then on asked for at sign-in', async () => {
    const ada = await world.confirmedPerson()
    expect(await status(ada)).toEqual({ enabled: false, confirmedAt: null, recoveryCodesLeft: 0 })
    const offered = await setUp(ada)
    expect(offered.statusCode).toBe(200)
    expect(offered.json()).toEqual({
      secret: expect.stringMatching(/^[A-Z2-7]{32}$/),
      uri: expect.stringContaining(
        `otpauth://totp/NetPilot:${encodeURIComponent(ada.email)}?issuer=NetPilot&secret=`,
      ),
    })
    const app = appOf(offered.json().uri)
    expect(app.secret.base32).toBe(offered.json().secret)
    const confirmed = await confirm(ada, codeOf(app))
    expect(confirmed.statusCode).toBe(200)
    expect(confirmed.json()).toEqual({
      recoveryCodes: expect.arrayContaining([expect.stringMatching(/^(\w{4}-){2}\w{4}$/)]),
    })
    expect(new Set(confirmed.json().recoveryCodes).size).toBe(10)
    expect(await status(ada)).toEqual({
      enabled: true,
      confirmedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      recoveryCodesLeft: 10,
    })

    const challenge = await challengeFor(ada)
    await letTimePass(ada)
    const signedIn = await answer(challenge, codeOf(app))
    expect(signedIn.statusCode).toBe(200)
    const { user, accessToken, refreshToken, ...rest } = signedIn.json()
    expect(rest).toEqual({ tokenType: 'Bearer', expiresIn: 600 })
    expect(user).toMatchObject({ id: ada.id, email: ada.email, hasPassword: true })
    const me = await world.send('GET', '/api/auth/me', {
      headers: { authorization: `Bearer ${accessToken}` },
    })
    expect(me.json()).toEqual(user)
    expect((await world.send('POST', '/api/auth/refresh', { body: { refreshToken } })).statusCode).toBe(200)
  })

  it('gives its tokens in the way that the app wants them', async () => {
    const ada = await enrolled()
    const body = { challenge: await challengeFor(ada), code: await ada.code() }
    const signedIn = await world.send('POST', PATH, { body, headers: { 'x-token-transport': 'cookie' } })
    expect(signedIn.json()).toMatchObject({ accessToken: expect.any(String), csrfToken: expect.any(String) })
    expect(signedIn.json().refreshToken).toBeUndefined()
    expect(String(signedIn.headers['set-cookie'])).toContain('npr_')
  })

  it('gives no tokens, and begins no login session, for the password alone', async () => {
    const ada = await enrolled()
    const before = await sessionsOf(ada)
    const refused = await login(ada)
    const { challenge } = expectProblem(refused, 401, 'second-factor-required')
    expect(challenge).toMatch(/^npt_\w{22}_\w{43}$/)
    expect(refused.body).not.toMatch(/npr_|eyJ/)
    expect(refused.headers['set-cookie']).toBeUndefined()
    expect(await sessionsOf(ada)).toBe(before)
  })

  it('is set up by who proves to be the owner; a login session is not enough', async () => {
    const ada = await world.confirmedPerson()
    const stored = async () =>
      (await rowsOf('select totp_secret from user_credentials where user_id = $1', [ada.id]))[0]?.totp_secret
    expectProblem(await setUp(ada, { password: 'not the password' }), 403, 'wrong-password')
    expectProblem(await setUp(ada, { googleIdToken: 'not a token' }), 403, 'wrong-password')
    expectProblem(await setUp(ada, {}), 400, 'invalid-request')
    expectProblem(await setUp(ada, { password: ada.password, googleIdToken: 'x' }), 400, 'invalid-request')
    expect(await stored()).toBeNull()
    expect((await setUp(ada)).statusCode).toBe(200)
    expect(await stored()).not.toBeNull()
  })

  it('counts for nothing until it is confirmed, and setting it up again replaces it', async () => {
    const ada = await world.confirmedPerson()
    const first = appOf((await setUp(ada)).json().uri)
    expect(await status(ada)).toMatchObject({ enabled: false })
    expect((await login(ada)).statusCode).toBe(200)
    const second = appOf((await setUp(ada)).json().uri)
    expect(second.secret.base32).not.toBe(first.secret.base32)
    expectProblem(await confirm(ada, codeOf(first)), 403, 'wrong-code')
    expect((await login(ada)).statusCode).toBe(200)
    expect((await confirm(ada, codeOf(second))).statusCode).toBe(200)
    expectProblem(await login(ada), 401, 'second-factor-required')
  })

  it('is not confirmed by a code of a secret that is replaced in the same moment', async () => {
    const ada = await world.confirmedPerson()
    const [app, bob] = [appOf((await setUp(ada)).json().uri), await enrolled()]
    const confirmed = await asAdmin(inject('database').adminUrl, async (client) => {
      await client.query('begin')
      await client.query('update user_credentials set totp_secret = $2 where user_id = $1', [
        ada.id,
        bob.app.secret.bytes,
      ])
      const confirming = confirm(ada, codeOf(app))
      // It has found the secret that it was asked to confirm, and waits to use the code up.
      while (
        (
          await client.query(
            'select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))',
          )
        ).rowCount !== 1
      );
      await client.query('commit')
      return confirming
    })
    expectProblem(confirmed, 403, 'wrong-code')
    expect(await status(ada)).toMatchObject({ enabled: false })
  })

  it('that is on is not replaced, nor confirmed again', async () => {
    const ada = await enrolled()
    expectProblem(await setUp(ada), 409, 'conflict')
    expectProblem(await confirm(ada, await ada.code()), 409, 'conflict')
    expect(await status(ada)).toMatchObject({ enabled: true, recoveryCodesLeft: 10 })
    expect((await signIn(ada, await ada.code())).statusCode).toBe(200)
  })

  it('that is off is neither confirmed, nor switched off, nor given recovery codes', async () => {
    const ada = await world.confirmedPerson()
    for (const refused of [
      await confirm(ada, '123456'),
      await renew(ada, '123456'),
      await disable(ada, '123456'),
    ])
      expectProblem(refused, 409, 'conflict')
    await setUp(ada)
    for (const refused of [await renew(ada, '123456'), await disable(ada, '123456')])
      expectProblem(refused, 409, 'conflict')
  })

  it('ends no login session when it is switched on', async () => {
    const ada = await world.confirmedPerson()
    const other = (await login(ada)).json()
    await confirm(ada, codeOf(appOf((await setUp(ada)).json().uri)))
    expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
    expect(
      (await world.send('POST', '/api/auth/refresh', { body: { refreshToken: other.refreshToken } }))
        .statusCode,
    ).toBe(200)
  })

  it('is stored so that its secret shows nothing, and opens in no other row', async () => {
    const [ada, bob] = await Promise.all([enrolled(), enrolled()])
    const secretOf = async ({ id }: Person) =>
      (
        await rowsOf<{ totp_secret: Buffer }>('select totp_secret from user_credentials where user_id = $1', [
          id,
        ])
      )[0]?.totp_secret
    const sealed = await secretOf(ada)
    expect(sealed?.includes(Buffer.from(ada.app.secret.bytes))).toBe(false)
    expect(sealed?.includes(ada.app.secret.base32)).toBe(false)
    await rowsOf('update user_credentials set totp_secret = $2 where user_id = $1', [bob.id, sealed])
    await letTimePass(bob)
    expectProblem(await signIn(bob, codeOf(ada.app)), 500, 'internal')
    expectProblem(await signIn(bob, codeOf(bob.app)), 500, 'internal')
  })

  it('shows up in the log of its owner, with every success and failure', async () => {
    const ada = await enrolled()
    await signIn(ada, wrongCodeOf(ada.app))
    await signIn(ada, await ada.code())
    await signIn(ada, ada.recoveryCodes[0] ?? '')
    await renew(ada, await ada.code())
    await disable(ada, await ada.code(), { password: 'not the password' })
    await disable(ada, wrongCodeOf(ada.app))
    await disable(ada, await ada.code())
    const acts = await rowsOf<{
      act: string
      outcome: string
      detail: Record<string, unknown> | null
      actor_id: string | null
    }>(
      'select act, outcome, detail, actor_id from user_audit_log where user_id = $1 order by sequence offset 2',
      [ada.id],
    )
    expect(acts.map(({ act, outcome, detail }) => [act, outcome, detail?.secondFactor])).toEqual([
      ['setUpSecondFactor', 'success', undefined],
      ['confirmSecondFactor', 'success', 'totp'],
      ['answerChallenge', 'failure', undefined],
      ['answerChallenge', 'success', 'totp'],
      ['answerChallenge', 'success', 'recovery-code'],
      ['renewRecoveryCodes', 'success', 'totp'],
      ['disableSecondFactor', 'failure', undefined],
      ['disableSecondFactor', 'failure', undefined],
      ['disableSecondFactor', 'success', 'totp'],
    ])
    // Who only knows the password is not known to be Ada.
    expect(acts[2]?.actor_id).toBeNull()
    expect(acts[6]).toMatchObject({ actor_id: ada.id, detail: { sessionId: expect.any(String) } })
  })

  it('is never switched on or off, given new recovery codes or guessed at without its owner being told by mail', async () => {
    const server = await openServer()
    onTestFinished(server.close)
    const at = worldOf(server)
    const toldTo = ({ email }: Person) =>
      server.mails.filter(({ to, kind }) => to === email && kind !== 'verify-email').map(({ kind }) => kind)
    const ada = await enrolled(at)
    expect(toldTo(ada)).toEqual(['second-factor-on'])
    await signIn(ada, await ada.code(), at)
    await disable(ada, await ada.code(), { password: 'not the password' })
    expect(toldTo(ada)).toHaveLength(1)
    await signIn(ada, ada.recoveryCodes[0] ?? '', at)
    expect(server.mails.at(-1)).toMatchObject({
      to: ada.email,
      kind: 'recovery-code-used',
      text: expect.stringContaining('Codes left: 9.'),
    })
    await renew(ada, await ada.code())
    await disable(ada, await ada.code())
    expect(toldTo(ada).slice(2)).toEqual(['recovery-codes-replaced', 'second-factor-off'])

    for (const ask of [signIn, renew]) {
      const bob = await enrolled(at)
      for (let guess = 1; guess <= 6; guess += 1) {
        await ask(bob, wrongCodeOf(bob.app), at)
        expect(toldTo(bob).slice(1), `guess ${guess}`).toEqual(guess < 5 ? [] : ['second-factor-locked'])
      }
    }
  })

  it('leaves no secret in any log, T39', async () => {
    const server = await openServer({ LOG_LEVEL: 'trace' })
    onTestFinished(server.close)
    const at = worldOf(server)
    const ada = await enrolled(at)
    const challenge = await challengeFor(ada, at)
    const [code, wrong] = [await ada.code(), wrongCodeOf(ada.app)]
    await answer(challenge, wrong, at)
    await answer(challenge, code, at)
    await at.send('POST', PATH, { body: { challenge, code, more: ada.recoveryCodes[0] } })
    await rowsOf('update user_credentials set totp_secret = totp_secret || totp_secret where user_id = $1', [
      ada.id,
    ])
    await signIn(ada, codeOf(ada.app), at)
    const logged = server.logged.join('\n')
    expect(logged).toContain('"route":"/api/auth/second-factor"')
    expect(logged).toContain('"status":500')
    const secrets = [ada.app.secret.base32, challenge, code, wrong, ...ada.recoveryCodes, ada.password]
    expect(secrets.filter((secret) => logged.includes(secret))).toEqual([])
  })
})

describe('a code of the app', () => {
  it('may be typed as three and three', async () => {
    const ada = await enrolled()
    const code = await ada.code()
    expect((await signIn(ada, `${code.slice(0, 3)} ${code.slice(3)} `)).statusCode).toBe(200)
  })

  it('is good once, also the one that confirmed', async () => {
    const ada = await world.confirmedPerson()
    const app = appOf((await setUp(ada)).json().uri)
    const first = codeOf(app)
    await confirm(ada, first)
    expectProblem(await signIn(ada, first), 401, 'wrong-code')
    await letTimePass(ada)
    const second = codeOf(app)
    expect((await signIn(ada, second)).statusCode).toBe(200)
    expectProblem(await signIn(ada, second), 401, 'wrong-code')
    expectProblem(await disable(ada, second), 403, 'wrong-code')
  })

  it('of an earlier step than the last one is not taken any more', async () => {
    const ada = await enrolled()
    await letTimePass(ada)
    const [earlier, later] = [codeOf(ada.app), codeOf(ada.app, 1)]
    expect((await signIn(ada, later)).statusCode).toBe(200)
    expectProblem(await signIn(ada, earlier), 401, 'wrong-code')
  })

  it('lets in one of those who use it at once, whether with one challenge or with several', async () => {
    for (const several of [false, true]) {
      const ada = await enrolled()
      const one = await challengeFor(ada)
      const challenges = several
        ? await Promise.all(Array.from({ length: 5 }, () => challengeFor(ada)))
        : Array.from({ length: 5 }, () => one)
      const before = await sessionsOf(ada)
      const code = await ada.code()
      const answers = await Promise.all(challenges.map((challenge) => answer(challenge, code)))
      expect(statuses(answers)).toEqual([200, 401, 401, 401, 401])
      expect(await sessionsOf(ada)).toBe(before + 1)
    }
  })

  it('of somebody else is wrong, and stays good for them', async () => {
    const [ada, bob] = await Promise.all([enrolled(), enrolled()])
    const code = await ada.code()
    expectProblem(await signIn(bob, code), 401, 'wrong-code')
    expectProblem(await disable(bob, code), 403, 'wrong-code')
    expect((await signIn(ada, code)).statusCode).toBe(200)
  })
})

describe('a recovery code', () => {
  it('signs in once, however it is typed', async () => {
    const ada = await enrolled()
    const [first = '', second = ''] = ada.recoveryCodes
    expect((await signIn(ada, ` ${first.toUpperCase().replaceAll('-', ' ')}`)).statusCode).toBe(200)
    expect(await status(ada)).toMatchObject({ enabled: true, recoveryCodesLeft: 9 })
    expectProblem(await signIn(ada, first), 401, 'wrong-code')
    expect((await signIn(ada, second)).statusCode).toBe(200)
    expect(await status(ada)).toMatchObject({ recoveryCodesLeft: 8 })
  })

  it('lets in one of those who use it at once', async () => {
    const ada = await enrolled()
    const challenges = await Promise.all(Array.from({ length: 5 }, () => challengeFor(ada)))
    const answers = await Promise.all(
      challenges.map((challenge) => answer(challenge, ada.recoveryCodes[0] ?? '')),
    )
    expect(statuses(answers)).toEqual([200, 401, 401, 401, 401])
    expect(await status(ada)).toMatchObject({ recoveryCodesLeft: 9 })
  })

  it('of somebody else is wrong, even when their row was copied', async () => {
    const [ada, bob] = await Promise.all([enrolled(), enrolled()])
    const [code = ''] = ada.recoveryCodes
    expectProblem(await signIn(bob, code), 401, 'wrong-code')
    await rowsOf(
      'insert into user_recovery_codes (user_id, code_sha256) select $2, code_sha256 from user_recovery_codes where user_id = $1',
      [ada.id, bob.id],
    )
    expectProblem(await signIn(bob, code), 401, 'wrong-code')
    expect((await signIn(ada, code)).statusCode).toBe(200)
  })

  it('is replaced with all others by new ones, for which it takes a code', async () => {
    const ada = await enrolled()
    const [old = '', spare = ''] = ada.recoveryCodes
    expectProblem(await renew(ada, wrongCodeOf(ada.app)), 403, 'wrong-code')
    expect((await signIn(ada, old)).statusCode).toBe(200)
    const renewed = await renew(ada, await ada.code())
    expect(renewed.statusCode).toBe(200)
    const codes: string[] = renewed.json().recoveryCodes
    expect(new Set([...codes, ...ada.recoveryCodes]).size).toBe(20)
    expect(await status(ada)).toMatchObject({ enabled: true, recoveryCodesLeft: 10 })
    expectProblem(await signIn(ada, spare), 401, 'wrong-code')
    expect((await signIn(ada, codes[0] ?? '')).statusCode).toBe(200)
    expect((await renew(ada, codes[1] ?? '')).statusCode).toBe(200)
  })
})

describe('a challenge', () => {
  const age = ({ id }: Person, interval: string) =>
    rowsOf(`update user_tokens set expires_at = expires_at - $2::interval where user_id = $1`, [id, interval])

  it('may be answered wrong, and is over once it was answered right', async () => {
    const ada = await enrolled()
    const challenge = await challengeFor(ada)
    expectProblem(await answer(challenge, wrongCodeOf(ada.app)), 401, 'wrong-code')
    expect((await answer(challenge, await ada.code())).statusCode).toBe(200)
    const code = await ada.code()
    expect(expectProblem(await answer(challenge, code), 401, 'challenge-ended').detail).toMatch(
      /Sign in again/,
    )
    expect((await signIn(ada, code)).statusCode).toBe(200)
  })

  it('that two codes answer at once lets in one, and the other code stays good', async () => {
    const ada = await enrolled()
    const challenge = await challengeFor(ada)
    const before = await sessionsOf(ada)
    const codes = [ada.recoveryCodes[0] ?? '', ada.recoveryCodes[1] ?? '', ada.recoveryCodes[2] ?? '']
    const answers = await Promise.all(codes.map((code) => answer(challenge, code)))
    expect(statuses(answers)).toEqual([200, 401, 401])
    expect(await sessionsOf(ada)).toBe(before + 1)
    expect(await status(ada)).toMatchObject({ recoveryCodesLeft: 9 })
  })

  it('is good for five minutes', async () => {
    const ada = await enrolled()
    const [early, late] = [await challengeFor(ada), await challengeFor(ada)]
    await age(ada, '280 seconds')
    expect((await answer(early, await ada.code())).statusCode).toBe(200)
    await age(ada, '20 seconds')
    expectProblem(await answer(late, await ada.code()), 401, 'challenge-ended')
  })

  it.each([
    [
      'a changed password',
      'update user_credentials set password_version = password_version + 1 where user_id = $1',
    ],
    ['a changed address', `update users set email = 'new.' || email where id = $1`],
    ['deactivation', 'update users set is_active = false where id = $1'],
    ['another purpose', `update user_tokens set purpose = 'exchange' where user_id = $1`],
  ])('does not survive %s', async (_what, sql) => {
    const ada = await enrolled()
    const [challenge, code] = [await challengeFor(ada), await ada.code()]
    await rowsOf(sql, [ada.id])
    expectProblem(await answer(challenge, code), 401, 'challenge-ended')
  })

  it('does not survive the factor: one from before is not answered by the next factor', async () => {
    const ada = await enrolled()
    const challenge = await challengeFor(ada)
    expect((await disable(ada, await ada.code())).statusCode).toBe(204)
    expectProblem(await answer(challenge, codeOf(ada.app)), 401, 'challenge-ended')
    const app = appOf((await setUp(ada)).json().uri)
    await confirm(ada, codeOf(app))
    await letTimePass(ada)
    expectProblem(await answer(challenge, codeOf(app)), 401, 'challenge-ended')
  })

  it('is of one account: whoever it is for must know its code', async () => {
    const [ada, bob] = await Promise.all([enrolled(), enrolled()])
    const [ofAda, code] = [await challengeFor(ada), await bob.code()]
    expectProblem(await answer(ofAda, code), 401, 'wrong-code')
    // Bob's own proof, under Ada's name.
    const ofBob = await challengeFor(bob)
    expectProblem(
      await answer(ofAda.slice(0, 27) + ofBob.slice(27), await ada.code()),
      401,
      'challenge-ended',
    )
    const signedIn = await answer(ofBob, await bob.code())
    expect(signedIn.json().user.id).toBe(bob.id)
  })

  it.each(['', 'npt_', `npt_${'0'.repeat(22)}_${'0'.repeat(43)}`, 'x'.repeat(128)])(
    'is no made-up text: %j',
    async (text) => {
      const refused = await answer(text, '123456')
      if (text === '') expectProblem(refused, 400, 'invalid-request')
      else expectProblem(refused, 401, 'challenge-ended')
    },
  )

  it('is stored as a digest', async () => {
    const ada = await enrolled()
    const challenge = await challengeFor(ada)
    const rows = await rowsOf<{ row: string }>(
      'select to_jsonb(t)::text as row from user_tokens t where user_id = $1 and purpose = $2',
      [ada.id, 'second-factor'],
    )
    expect(rows).toHaveLength(1)
    expect(rows[0]?.row).toContain('"purpose": "second-factor"')
    expect(rows[0]?.row).not.toContain(challenge.slice(27))
  })
})

describe('guessing at a second factor', () => {
  it('is over after five, of fifty at once as well: then the right code is refused until 300 s have passed, T18', async () => {
    const server = await openServer()
    onTestFinished(server.close)
    const at = worldOf(server)
    const ada = await enrolled(at)
    const [challenge, wrong] = [await challengeFor(ada, at), wrongCodeOf(ada.app)]
    const answers = await Promise.all(Array.from({ length: 50 }, () => answer(challenge, wrong, at)))
    expect(statuses(answers)).toEqual([...Array(5).fill(401), ...Array(45).fill(429)])
    const failures = await rowsOf<{ detail: unknown }>(
      `select detail from user_audit_log where user_id = $1 and act = 'answerChallenge' and outcome = 'failure' order by sequence`,
      [ada.id],
    )
    expect(failures.map(({ detail }) => detail)).toEqual([null, null, null, null, { lockedOut: true }])

    const refused = await answer(challenge, await ada.code(), at)
    expectProblem(refused, 429, 'locked-out')
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(290)
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(300)
    expectProblem(await answer(challenge, ada.recoveryCodes[0] ?? '', at), 429, 'locked-out')
    expectProblem(await disable(ada, ada.recoveryCodes[0] ?? ''), 429, 'locked-out')

    const key = createHmac('sha256', createKeyring(server.secrets.jwt).guesses[0].secret)
      .update(`second-factor ${ada.id}`)
      .digest()
    const pass = (interval: string) =>
      rowsOf(
        'update sign_in_attempts set locked_until = locked_until - $2::interval where key = $1 returning 1',
        [key, interval],
      )
    expect(await pass('280 seconds')).toHaveLength(1)
    expectProblem(await answer(challenge, await ada.code(), at), 429, 'locked-out')
    await pass('20 seconds')
    expect((await answer(challenge, await ada.code(), at)).statusCode).toBe(200)
  })

  it('is forgotten when a guess was right', async () => {
    const ada = await enrolled()
    for (let round = 0; round < 2; round += 1) {
      const challenge = await challengeFor(ada)
      for (let guess = 0; guess < 4; guess += 1)
        expectProblem(await answer(challenge, wrongCodeOf(ada.app)), 401, 'wrong-code')
      expect((await answer(challenge, await ada.code())).statusCode).toBe(200)
    }
  })

  it('stops neither login sessions, nor refresh, nor the password; and is one count, wherever the code is asked for, T19', async () => {
    const ada = await enrolled()
    for (let guess = 0; guess < 3; guess += 1)
      expectProblem(await disable(ada, wrongCodeOf(ada.app)), 403, 'wrong-code')
    expectProblem(await renew(ada, wrongCodeOf(ada.app)), 403, 'wrong-code')
    expectProblem(await signIn(ada, wrongCodeOf(ada.app)), 401, 'wrong-code')
    expectProblem(await signIn(ada, await ada.code()), 429, 'locked-out')
    expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
    expect(
      (await world.send('POST', '/api/auth/refresh', { body: { refreshToken: ada.refreshToken } }))
        .statusCode,
    ).toBe(200)
    expect(await challengeFor(ada)).not.toBe('')
  })

  it('takes a challenge: nobody locks out a stranger, T19', async () => {
    const ada = await enrolled()
    for (let guess = 0; guess < 6; guess += 1)
      expectProblem(
        await answer(makeSingleUseToken(ada.id).token, wrongCodeOf(ada.app)),
        401,
        'challenge-ended',
      )
    expect((await signIn(ada, await ada.code())).statusCode).toBe(200)
  })

  it('takes a login session that is not over', async () => {
    const ada = await enrolled()
    const { accessToken } = (await signIn(ada, await ada.code())).json()
    const stolen = (path: string, body: object) =>
      world.send('POST', `${PATH}/${path}`, { body, headers: { authorization: `Bearer ${accessToken}` } })
    await world.send('POST', '/api/auth/logout', { headers: { authorization: `Bearer ${accessToken}` } })
    const [wrong, { password }] = [wrongCodeOf(ada.app), ada]
    for (let guess = 0; guess < 6; guess += 1) {
      expectProblem(await stolen('recovery-codes', { code: wrong }), 401, 'unauthenticated')
      expectProblem(
        await stolen('disable', { password: 'not the password', code: wrong }),
        401,
        'unauthenticated',
      )
    }
    const code = await ada.code()
    expectProblem(await stolen('recovery-codes', { code }), 401, 'unauthenticated')
    expectProblem(await stolen('disable', { password, code }), 401, 'unauthenticated')
    expect((await disable(ada, code)).statusCode).toBe(204)
  })

  it('answers alike, whatever is wrong with the code', async () => {
    const ada = await enrolled()
    const challenge = await challengeFor(ada)
    const used = await ada.code()
    await signIn(ada, used)
    const answers: Answer[] = []
    for (const code of [wrongCodeOf(ada.app), used, 'not a code', randomBytes(6).toString('hex')])
      answers.push(await answer(challenge, code))
    const [first] = answers as [Answer]
    expectProblem(first, 401, 'wrong-code')
    expect(answers.map(comparable)).toEqual(answers.map(() => comparable(first)))
  })
})

describe('switching a second factor off', () => {
  it('takes the password and a code, and then signing in takes the password alone', async () => {
    const ada = await enrolled()
    expect((await disable(ada, await ada.code())).statusCode).toBe(204)
    expect(await status(ada)).toEqual({ enabled: false, confirmedAt: null, recoveryCodesLeft: 0 })
    expect((await login(ada)).statusCode).toBe(200)
    const stored = await rowsOf(
      `select totp_secret, totp_confirmed_at, totp_last_step, (select count(*)::int from user_recovery_codes r where r.user_id = c.user_id) as codes
        from user_credentials c where user_id = $1`,
      [ada.id],
    )
    expect(stored).toEqual([{ totp_secret: null, totp_confirmed_at: null, totp_last_step: null, codes: 0 }])
    expect((await setUp(ada)).statusCode).toBe(200)
  })

  it('with a wrong password leaves it on, and the code good', async () => {
    const ada = await enrolled()
    const code = await ada.code()
    expectProblem(await disable(ada, code, { password: 'not the password' }), 403, 'wrong-password')
    expectProblem(await disable(ada, code, { googleIdToken: 'not a token' }), 403, 'wrong-password')
    expect(await status(ada)).toMatchObject({ enabled: true })
    expect((await signIn(ada, code)).statusCode).toBe(200)
  })

  it('with a wrong code leaves it on', async () => {
    const ada = await enrolled()
    expectProblem(await disable(ada, wrongCodeOf(ada.app)), 403, 'wrong-code')
    expect(await status(ada)).toMatchObject({ enabled: true, recoveryCodesLeft: 10 })
    expectProblem(await login(ada), 401, 'second-factor-required')
  })

  it('works with a recovery code, for who lost the app', async () => {
    const ada = await enrolled()
    expect((await disable(ada, ada.recoveryCodes[3] ?? '')).statusCode).toBe(204)
    expect((await login(ada)).statusCode).toBe(200)
  })
})

describe('proving to be the owner', () => {
  it('is over after five wrong passwords at once or in turn, apart from the count of the login, T18', async () => {
    const ada = await world.confirmedPerson()
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => setUp(ada, { password: 'not the password' })),
    )
    expect(statuses(answers)).toEqual([...Array(5).fill(403), ...Array(15).fill(429)])
    expectProblem(await setUp(ada), 429, 'locked-out')
    expect((await login(ada)).statusCode).toBe(200)
    expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
  })

  it('right once forgets what was wrong before', async () => {
    const ada = await world.confirmedPerson()
    for (let round = 0; round < 2; round += 1) {
      for (let guess = 0; guess < 4; guess += 1)
        expectProblem(await setUp(ada, { password: 'not the password' }), 403, 'wrong-password')
      expect((await setUp(ada)).statusCode).toBe(200)
    }
  })

  it('by a password fails for an account that has none, whatever is sent', async () => {
    const ada = await world.confirmedPerson()
    await rowsOf('update user_credentials set password_hash = null where user_id = $1', [ada.id])
    await linkProvider(ada.id, 'google', randomUUID())
    expectProblem(await setUp(ada), 403, 'wrong-password')
    expectProblem(await setUp(ada, { googleIdToken: 'not a token' }), 403, 'wrong-password')
  })
})

describe('every way to sign in', () => {
  it('asks for the second factor of who has one: Google, which also proves whose it is to switch it on and off', async () => {
    const standIn = await startGoogle()
    onTestFinished(standIn.close)
    const server = await openServer(standIn.env)
    onTestFinished(server.close)
    const { send } = worldOf(server)
    const account = googleAccount()
    const withGoogle = () => send('POST', '/api/auth/google', { body: { idToken: standIn.idToken(account) } })
    const { accessToken, user } = (await withGoogle()).json()
    const own = (path: string, body: object) =>
      send('POST', `${PATH}/${path}`, { body, headers: { authorization: `Bearer ${accessToken}` } })
    const stale = { iat: Math.floor(Date.now() / 1_000) - 400 }
    for (const claims of [googleAccount(), { ...account, ...stale }])
      expectProblem(await own('setup', { googleIdToken: standIn.idToken(claims) }), 403, 'wrong-password')
    expectProblem(await own('setup', { password: 'not a password' }), 403, 'wrong-password')

    const offered = await own('setup', { googleIdToken: standIn.idToken(account) })
    expect(offered.statusCode).toBe(200)
    const app = appOf(offered.json().uri)
    const { recoveryCodes } = (await own('confirm', { code: codeOf(app) })).json()
    const { challenge } = expectProblem(await withGoogle(), 401, 'second-factor-required')
    await letTimePass(user)
    const signedIn = await answer(challenge ?? '', codeOf(app), { ...world, send })
    expect(signedIn.json().user).toEqual(user)

    const [code] = recoveryCodes
    expectProblem(
      await own('disable', { googleIdToken: standIn.idToken(googleAccount()), code }),
      403,
      'wrong-password',
    )
    expect((await own('disable', { googleIdToken: standIn.idToken(account), code })).statusCode).toBe(204)
    expect((await withGoogle()).statusCode).toBe(200)
  })

  it('asks for the second factor of who has one: coming back to a deactivated account', async () => {
    const ada = await enrolled()
    const { email, password } = ada
    expect((await ada.call('POST', '/api/users/deactivate', { body: { password } })).statusCode).toBe(204)
    const refused = await world.send('POST', '/api/users/reactivate', { body: { email, password } })
    const { challenge = '' } = expectProblem(refused, 401, 'second-factor-required')
    expectProblem(await answer(challenge, wrongCodeOf(ada.app)), 401, 'wrong-code')
    expect((await answer(challenge, await ada.code())).json().user.id).toBe(ada.id)
  })
})

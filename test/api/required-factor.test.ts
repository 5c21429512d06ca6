/**
 * REQUIRE_SECOND_FACTOR: what a session may do whose person must have a factor and has none, asked of every
 * operation.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createIdentityCodes } from '../../src/auth/providers/identity-code.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { googleAccount, type StandInGoogle, startGoogle } from '../support/google.ts'
import { ask, nobodys } from '../support/identified-requests.ts'
import { listOperations, type Operation } from '../support/operations.ts'
import { expectProblem } from '../support/problems.ts'
import { appOf, codeOf, confirm, enrolledIn, setUp } from '../support/second-factor.ts'
import {
  newSecrets,
  openServer,
  type Person,
  type Router,
  rowsOf,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

/** What the session may do; all else is for anyone, for agents, or refused. */
const ALLOWED = ['getMe', 'getAccountStatus', 'setUpSecondFactor', 'confirmSecondFactor', 'logout']
const secrets = newSecrets()
/** Nobody is asked there: what a person proves by this provider is sealed by the server. */
const OIDC = {
  OIDC_ISSUER: 'http://127.0.0.1:9',
  OIDC_CLIENT_ID: 'netpilot',
  OIDC_CLIENT_SECRET: 'secret',
  OIDC_RETURN_TO: 'https://app.example.com',
  PUBLIC_URL: 'https://netpilot.example.com',
}
const identityCode = () => {
  const claims = { sub: 'ada', email: 'ada@example.com', emailVerified: true, isAuthoritative: true }
  return createIdentityCodes(createKeyring(secrets.jwt).identityCodes).issue({
    provider: 'oidc',
    claims: { ...claims, fullName: null, avatarUrl: null },
  })
}
/** A schema alone does not say what these take. */
const BODIES: Record<string, () => object> = {
  linkOidc: () => ({ providerCode: identityCode(), password: 'x' }),
  linkGoogle: () => ({ idToken: google.idToken(googleAccount()), password: 'x' }),
}

let google: StandInGoogle
beforeAll(async () => {
  google = await startGoogle()
})
afterAll(() => google.close())

describe.each(['everyone', 'admins'] as const)('a second factor required of %s', (of) => {
  let server: TestServer
  let world: World
  let operations: Operation[]
  let before: { person: Person; router: Router; script: string }
  beforeAll(async () => {
    server = await openServer({ ...google.env, ...OIDC, REQUIRE_SECOND_FACTOR: of }, undefined, { secrets })
    world = worldOf(server)
    operations = await listOperations(world)
    // Keys are made while nothing is required.
    const lenient = await openServer(google.env, undefined, { secrets })
    const person = await newcomer(worldOf(lenient))
    const router = await person.router()
    const made = await person.call('POST', '/api/users/keys', {
      body: { scopes: ['routers:read'], password: person.password },
    })
    await lenient.close()
    before = { person, router, script: made.json().key }
  })
  afterAll(() => server.close())

  /** Somebody who must have a factor. */
  const newcomer = async (there = world) => {
    const somebody = await there.confirmedPerson()
    if (of === 'admins') await rowsOf(`update users set role = 'admin' where id = $1`, [somebody.id])
    return somebody
  }
  const attempt = (who: Person, operation: Operation) => {
    const body = BODIES[operation.operationId ?? '']?.()
    const path = operation.operationId === 'search' ? `${operation.path}?q=a` : operation.path
    return body
      ? who.call(operation.method, path, { body })
      : ask(who.call, { ...operation, path }, nobodys())
  }

  it('refuses every operation for people and administrators but those that set it up', async () => {
    const ada = await newcomer()
    if (of === 'everyone') await rowsOf(`update users set role = 'admin' where id = $1`, [ada.id])
    const forPeople = operations.filter(({ door }) => door === 'person' || door === 'admin')
    expect(forPeople.length).toBeGreaterThan(90)
    const refused = forPeople.filter(({ operationId = '' }) => !ALLOWED.includes(operationId))
    expect(forPeople.length - refused.length).toBe(ALLOWED.length)
    const others: string[] = []
    for (const operation of refused) {
      const { statusCode, body } = await attempt(ada, operation)
      if (statusCode !== 403 || !body.includes('"second-factor-required-setup"'))
        others.push(`${operation.name} ${statusCode} ${body}`)
    }
    expect(others).toEqual([])
    expect(await rowsOf('select from user_routers where user_id = $1', [ada.id])).toHaveLength(0)
    for (const operation of forPeople.filter(({ operationId = '' }) => ALLOWED.includes(operationId))) {
      expect((await attempt(ada, operation)).body, operation.name).not.toContain(
        'second-factor-required-setup',
      )
    }
  })

  it('lets in at once who has set one up, in the same session, and not who has only begun', async () => {
    const ada = await newcomer()
    const list = () => ada.call('GET', '/api/routers')
    expectProblem(await list(), 403, 'second-factor-required-setup')
    const app = appOf((await setUp(ada)).json().uri)
    expectProblem(await list(), 403, 'second-factor-required-setup')
    expect((await confirm(ada, codeOf(app))).statusCode).toBe(200)
    expect((await list()).statusCode).toBe(200)
  })

  it('holds again from the moment the factor is switched off', async () => {
    const ada = await enrolledIn(world)
    if (of === 'admins') await rowsOf(`update users set role = 'admin' where id = $1`, [ada.id])
    expect((await ada.call('GET', '/api/routers')).statusCode).toBe(200)
    const off = await ada.call('POST', '/api/auth/second-factor/disable', {
      body: { password: ada.password, code: await ada.code() },
    })
    expect(off.statusCode).toBe(204)
    expectProblem(await ada.call('GET', '/api/routers'), 403, 'second-factor-required-setup')
    expect((await ada.call('GET', '/api/auth/me')).statusCode).toBe(200)
  })

  it('leaves keys from before alone, and agents', async () => {
    const { send } = world
    const headers = { authorization: `Bearer ${before.person.accessToken}` }
    expectProblem(await send('GET', '/api/routers', { headers }), 403, 'second-factor-required-setup')
    expect((await send('GET', '/api/routers', { headers: { 'x-api-key': before.script } })).statusCode).toBe(
      200,
    )
    expect(
      (await send('GET', '/api/agent/policy', { headers: { 'x-api-key': before.router.key } })).statusCode,
    ).toBe(200)
    const scan = { scanId: crypto.randomUUID(), takenAt: new Date().toISOString(), devices: [] }
    expect(
      (await send('POST', '/api/agent/scans', { headers: { 'x-api-key': before.router.key }, body: scan }))
        .statusCode,
    ).toBe(200)
  })

  it('also of who signs in with Google', async () => {
    const { accessToken, user } = (
      await world.send('POST', '/api/auth/google', { body: { idToken: google.idToken(googleAccount()) } })
    ).json()
    if (of === 'admins') await rowsOf(`update users set role = 'admin' where id = $1`, [user.id])
    const headers = { authorization: `Bearer ${accessToken}` }
    expectProblem(await world.send('GET', '/api/devices', { headers }), 403, 'second-factor-required-setup')
    expect((await world.send('GET', '/api/auth/me', { headers })).statusCode).toBe(200)
  })

  if (of === 'admins')
    it('is not of people who are no administrators, until they are', async () => {
      const ada = await world.person()
      expect((await ada.call('GET', '/api/routers')).statusCode).toBe(200)
      expectProblem(await ada.call('GET', '/api/admin/users'), 404, 'not-found')
      await rowsOf(`update users set role = 'admin' where id = $1`, [ada.id])
      expectProblem(await ada.call('GET', '/api/routers'), 403, 'second-factor-required-setup')
    })
})

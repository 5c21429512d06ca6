/** Replacing PASSWORD_PEPPER: everybody who signs in meanwhile signs in with the new one alone afterwards. */
import { randomBytes } from 'node:crypto'
import { expect, it, onTestFinished } from 'vitest'
import type { Secrets } from '../../src/auth/auth.ts'
import { expectProblem } from '../support/problems.ts'
import { enrolledIn } from '../support/second-factor.ts'
import { newSecrets, openServer, rowsOf, type World, worldOf } from '../support/world.ts'

it('renews hashes and seals at the next sign-in, so that the old pepper can go', async () => {
  const { jwt, pepper: old } = newSecrets()
  const fresh = { current: randomBytes(32).toString('base64url') }
  const open = async (pepper: Secrets['pepper']) => {
    const server = await openServer({}, undefined, { secrets: { jwt, pepper } })
    onTestFinished(server.close)
    return worldOf(server)
  }
  const before = await open(old)
  const between = await open({ ...fresh, previous: old.current })
  const after = await open(fresh)

  const [ada, bob] = [await enrolledIn(before), await before.person()]
  const login = ({ email, password }: { email: string; password: string }, world: World) =>
    world.send('POST', '/api/auth/login', { body: { email, password } })
  const answer = async (code: string, world: World) => {
    const { challenge } = (await login(ada, world)).json()
    return world.send('POST', '/api/auth/second-factor', { body: { challenge, code } })
  }
  const stored = async () =>
    (
      await rowsOf<{ password: string; totp: string }>(
        `select password_hash as password, encode(totp_secret, 'hex') as totp from user_credentials where user_id = $1`,
        [ada.id],
      )
    )[0]
  const at = await stored()

  expectProblem(await login(ada, after), 401, 'invalid-credentials')
  expect((await answer(await ada.code(), between)).statusCode).toBe(200)
  const renewed = await stored()
  expect(renewed?.password).not.toBe(at?.password)
  expect(renewed?.totp).not.toBe(at?.totp)
  // Recovery codes cannot be made anew without their text: they are good while the old pepper is given.
  expect((await answer(ada.recoveryCodes[0] ?? '', between)).statusCode).toBe(200)

  expect((await answer(await ada.code(), after)).statusCode).toBe(200)
  expectProblem(await answer(ada.recoveryCodes[1] ?? '', after), 401, 'wrong-code')
  // Whoever did not sign in meanwhile needs a new password.
  expectProblem(await login(bob, after), 401, 'invalid-credentials')
  expect((await login(bob, between)).statusCode).toBe(200)
  expect((await login(bob, after)).statusCode).toBe(200)
})

/** The first administrator comes from the command line. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { confirm } from '../../src/cli/confirm.ts'
import { loginUrl } from '../support/database.ts'
import { rowsOf, sharedWorld, type World } from '../support/world.ts'

const database = inject('database')
const command = (...args: string[]) =>
  promisify(execFile)(process.execPath, ['src/cli/create-admin.ts', ...args], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: loginUrl(database, 'server'),
      DATABASE_AUTH_URL: loginUrl(database, 'auth'),
      DATABASE_ROLE_PREFIX: database.rolePrefix,
    },
  })

let world: World
beforeAll(async () => {
  world = await sharedWorld()
})

describe('create-admin', () => {
  it('makes an account an administrator’s, at its very next request, and again without harm', async () => {
    const ada = await world.person()
    expect((await ada.call('GET', '/api/admin/stats')).statusCode).toBe(404)
    for (const _ of [1, 2])
      expect((await command(ada.email.toUpperCase())).stdout).toBe(`${ada.email} is an administrator.\n`)
    expect((await ada.call('GET', '/api/admin/stats')).statusCode).toBe(200)
    const acts = await rowsOf(
      `select actor_kind, actor_id from user_audit_log where user_id = $1 and act = 'createAdmin'`,
      [ada.id],
    )
    expect(acts).toEqual([
      { actor_kind: 'system', actor_id: null },
      { actor_kind: 'system', actor_id: null },
    ])
  })

  it('takes it back, at the very next request; the account stays', async () => {
    const ada = await world.person()
    await command(ada.email)
    for (const _ of [1, 2])
      expect((await command('--remove', ada.email)).stdout).toBe(
        `${ada.email} is no administrator any more.\n`,
      )
    expect((await ada.call('GET', '/api/admin/stats')).statusCode).toBe(404)
    expect((await ada.call('GET', '/api/auth/me')).json()).toMatchObject({ email: ada.email, role: 'user' })
    const acts = await rowsOf(
      `select act from user_audit_log where user_id = $1 and actor_kind = 'system' order by sequence`,
      [ada.id],
    )
    expect(acts.map(({ act }) => act)).toEqual(['createAdmin', 'removeAdmin', 'removeAdmin'])
  })

  it('makes no account for an address that is mistyped, nor takes anything from one', async () => {
    const email = `${randomUUID()}@example.com`
    for (const args of [[email], ['--remove', email]])
      await expect(command(...args)).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringContaining(`no account with the address ${email}`),
      })
    expect(await rowsOf('select from users where email = $1', [email])).toEqual([])
  })

  it.each([
    ['y\n', true],
    ['YES\n', true],
    ['\n', false],
    ['n\n', false],
    ['maybe\n', false],
    ['', false], // Ctrl-D
  ])('asks at a terminal, and %s is %s; nobody else says yes', async (answer, isYes) => {
    const ask = (isTTY: boolean) => {
      const stdin = Object.assign(new PassThrough(), { isTTY })
      stdin.end(answer)
      return confirm('Really?', { stdin, stdout: new PassThrough() })
    }
    expect(await ask(true)).toBe(isYes)
    expect(await ask(false)).toBe(false)
  })

  it('makes the account where there is none and that is meant, and prints what its password is chosen with', async () => {
    const email = `${randomUUID()}@example.com`
    const { stdout } = await command('--new', email)
    const token = /npt_\w+/.exec(stdout)?.[0] ?? ''
    const password = 'an entirely new password'
    expect(
      (await world.send('POST', '/api/auth/reset-password', { body: { token, newPassword: password } }))
        .statusCode,
    ).toBe(204)
    const { accessToken, user } = (
      await world.send('POST', '/api/auth/login', { body: { email, password } })
    ).json()
    expect(user).toMatchObject({ email, role: 'admin', emailVerified: true })
    expect(
      (await world.send('GET', '/api/admin/users', { headers: { authorization: `Bearer ${accessToken}` } }))
        .statusCode,
    ).toBe(200)
  })

  it('says how it is used', async () => {
    for (const args of [
      [],
      ['ada'],
      ['a@example.com', 'b@example.com'],
      ['--new', '--remove', 'a@example.com'],
    ])
      await expect(command(...args)).rejects.toMatchObject({
        code: 1,
        stderr: 'Usage: npm run create-admin -- [--new | --remove] ada@example.com\n',
      })
  })
})

/**
 * A bound on guesses at a password: exact under parallel guesses on any number of servers, and nothing for
 * strangers to do harm with.
 */
import { createHmac, randomUUID } from 'node:crypto'
import bcrypt from 'bcrypt'
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  type MockInstance,
  onTestFinished,
  vi,
} from 'vitest'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { comparable, expectProblem } from '../support/problems.ts'
import {
  type Answer,
  newSecrets,
  openServer,
  type Person,
  rowsOf,
  type TestServer,
  type World,
  worldOf,
} from '../support/world.ts'

const secrets = newSecrets()
const [{ secret: guessKey }] = createKeyring(secrets.jwt).guesses

let servers: TestServer[]
let worlds: [World, World]
let compare: MockInstance
beforeAll(async () => {
  servers = await Promise.all([
    openServer({}, undefined, { secrets }),
    openServer({}, undefined, { secrets }),
  ])
  worlds = servers.map(worldOf) as [World, World]
})
afterAll(async () => void (await Promise.all(servers.map((server) => server.close()))))
beforeEach(() => {
  compare = vi.spyOn(bcrypt, 'compare')
  onTestFinished(() => compare.mockRestore())
})

const guess = (email: string, password = 'some other horse', [world]: World[] = worlds) =>
  (world as World).send('POST', '/api/auth/login', { body: { email, password } })
const guessInTurn = async (email: string, count: number) => {
  const answers: Answer[] = []
  for (let index = 0; index < count; index += 1) answers.push(await guess(email))
  return answers
}
const statusesOf = (answers: Answer[]) => answers.map(({ statusCode }) => statusCode).sort()
const retryAfter = ({ headers }: Answer) => Number(headers['retry-after'])
const keyOf = (email: string) => createHmac('sha256', guessKey).update(`login ${email}`).digest()
/** Moves what is known about guesses at an address into the past. */
const age = (email: string, seconds: number) =>
  rowsOf(
    `update sign_in_attempts set last_failed_at = last_failed_at - make_interval(secs => $2),
      locked_until = locked_until - make_interval(secs => $2) where key = $1`,
    [keyOf(email), seconds],
  )
const guessesAt = (email: string) =>
  rowsOf('select failures, locked_until from sign_in_attempts where key = $1', [keyOf(email)])

const OF_50 = [...Array(5).fill(401), ...Array(45).fill(429)]

describe('fifty guesses at once, on two servers', () => {
  it('are five: five bcrypts, and then the right password is refused, until 300 seconds have passed, T18', async () => {
    const ada = await worlds[0].person()
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        guess(ada.email, `guess number ${index}`, worlds.slice(index % 2)),
      ),
    )
    expect(statusesOf(answers)).toEqual(OF_50)
    expect(compare).toHaveBeenCalledTimes(5)
    for (const answer of answers.filter(({ statusCode }) => statusCode === 429)) {
      expectProblem(answer, 429, 'locked-out')
      expect(retryAfter(answer)).toBeGreaterThan(290)
      expect(retryAfter(answer)).toBeLessThanOrEqual(300)
    }
    for (const there of worlds)
      expectProblem(await guess(ada.email, ada.password, [there]), 429, 'locked-out')
    await age(ada.email, 285)
    expectProblem(await guess(ada.email, ada.password), 429, 'locked-out')
    expect(compare).toHaveBeenCalledTimes(5)
    await age(ada.email, 15)
    expect((await guess(ada.email, ada.password)).statusCode).toBe(200)
    expect(await guessesAt(ada.email)).toEqual([])
  })

  it('are five at an address that nobody has, too, T17 T18', async () => {
    const email = `${randomUUID()}@example.com`
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => guess(email, undefined, worlds.slice(index % 2))),
    )
    expect(statusesOf(answers)).toEqual(OF_50)
    expect(compare).toHaveBeenCalledTimes(5)
  })

  it('hold back nobody else, T19', async () => {
    const [ada, bob] = await Promise.all([worlds[0].person(), worlds[0].person()])
    const [answers, answer] = await Promise.all([
      Promise.all(Array.from({ length: 50 }, () => guess(ada.email))),
      guess(bob.email, bob.password),
    ])
    expect(statusesOf(answers)).toEqual(OF_50)
    expect(answer.statusCode).toBe(200)
  })
})

describe('a lockout', () => {
  it('begins and looks the same whether or not there is such an account, and whatever it lacks, T17', async () => {
    const [known, deactivated, googleOnly] = (await Promise.all([1, 2, 3].map(() => worlds[0].person()))) as [
      Person,
      Person,
      Person,
    ]
    await rowsOf('update users set is_active = false where id = $1', [deactivated.id])
    await rowsOf('update user_credentials set password_hash = null where user_id = $1', [googleOnly.id])
    const emails = [`${randomUUID()}@example.com`, known.email, deactivated.email, googleOnly.email]
    const told = await Promise.all(
      emails.map(async (email) =>
        (await guessInTurn(email, 7))
          .map(comparable)
          .map(({ headers: { 'retry-after': wait, ...headers }, ...rest }) => ({
            ...rest,
            headers,
            wait: wait === undefined ? undefined : Math.ceil(Number(wait) / 10),
          })),
      ),
    )
    expect(told[0]?.map(({ statusCode }) => statusCode)).toEqual([401, 401, 401, 401, 401, 429, 429])
    for (const answers of told) expect(answers).toEqual(told[0])
  })

  it('is of the address however it is written, T18', async () => {
    const ada = await worlds[0].person()
    const spellings = [
      ada.email,
      ada.email.toUpperCase(),
      ` ${ada.email}`,
      `${ada.email}\t`,
      ada.email.replace('example', 'Example'),
    ]
    for (const spelling of spellings) expectProblem(await guess(spelling), 401, 'invalid-credentials')
    for (const spelling of spellings) expectProblem(await guess(spelling, ada.password), 429, 'locked-out')
  })

  it('is not prolonged by whoever goes on guessing, nor does it begin anew, T19', async () => {
    const { email, password } = await worlds[0].person()
    await guessInTurn(email, 5)
    const [before] = await guessesAt(email)
    await age(email, 200)
    const [answer] = await guessInTurn(email, 20)
    expect(retryAfter(answer as Answer)).toBeLessThanOrEqual(100)
    const [after] = await guessesAt(email)
    expect(after).toEqual({ failures: 5, locked_until: new Date(before?.locked_until.getTime() - 200_000) })
    await age(email, 100)
    // Another five, not one.
    expect(statusesOf(await guessInTurn(email, 4))).toEqual([401, 401, 401, 401])
    expect((await guess(email, password)).statusCode).toBe(200)
  })

  it('keeps out nobody who is signed in: their requests, their refresh and their next password go on, T19', async () => {
    const ada = await worlds[0].person()
    await guessInTurn(ada.email, 5)
    expectProblem(await guess(ada.email, ada.password), 429, 'locked-out')
    expect((await ada.call('GET', '/api/devices')).statusCode).toBe(200)
    expect(
      (await worlds[1].send('POST', '/api/auth/refresh', { body: { refreshToken: ada.refreshToken } }))
        .statusCode,
    ).toBe(200)
    const next = { currentPassword: ada.password, newPassword: 'another long password' }
    expect((await ada.call('POST', '/api/users/change-password', { body: next })).statusCode).toBe(204)
  })

  it('is told to the owner, by mail and by the log of their account, once, T19', async () => {
    const ada = await worlds[0].person()
    await guessInTurn(ada.email, 8)
    const failures = `select detail from user_audit_log where user_id = $1 and act = 'login' and outcome = 'failure' order by sequence`
    // What the answer does not wait for: whether it is written would tell that there is such an account.
    await expect.poll(() => rowsOf(failures, [ada.id])).toHaveLength(5)
    expect((await rowsOf(failures, [ada.id])).filter(({ detail }) => detail?.lockedOut)).toHaveLength(1)
    const told = servers
      .flatMap(({ mails }) => mails)
      .filter(({ kind, to }) => kind === 'account-locked' && to === ada.email)
    expect(told).toHaveLength(1)
    expect(told[0]?.text).toContain('After 5 failed attempts')
  })

  it('of an address that nobody has is told to nobody, T19', async () => {
    const email = `${randomUUID()}@example.com`
    await guessInTurn(email, 8)
    expect(servers.flatMap(({ mails }) => mails).filter(({ to }) => to === email)).toEqual([])
  })
})

describe('failures', () => {
  it('are forgotten after a success', async () => {
    const ada = await worlds[0].person()
    for (const round of [1, 2]) {
      expect(statusesOf(await guessInTurn(ada.email, 4)), `round ${round}`).toEqual([401, 401, 401, 401])
      expect((await guess(ada.email, ada.password)).statusCode).toBe(200)
    }
  })

  it('are forgotten after 300 seconds without another', async () => {
    const { email } = await worlds[0].person()
    await guessInTurn(email, 4)
    await age(email, 285)
    await guessInTurn(email, 1)
    expectProblem(await guess(email), 429, 'locked-out')

    const { email: other } = await worlds[0].person()
    await guessInTurn(other, 4)
    await age(other, 301)
    expect(statusesOf(await guessInTurn(other, 5))).toEqual([401, 401, 401, 401, 401])
  })

  it('are kept under a key that tells no address', async () => {
    const email = `${randomUUID()}@example.com`
    await guess(email)
    expect(await rowsOf('select failures from sign_in_attempts where key = $1', [keyOf(email)])).toEqual([
      { failures: 1 },
    ])
    const [{ found }] = (await rowsOf(
      `select count(*)::int as found from sign_in_attempts a where a::text like $1`,
      [`%${email}%`],
    )) as [{ found: number }]
    expect(found).toBe(0)
  })

  it('are as many, and last as long, as the operator says', async () => {
    const server = await openServer({ LOCKOUT_FAILURES: '2', LOCKOUT_SECONDS: '20' })
    onTestFinished(server.close)
    const strict = [worldOf(server)]
    const email = `${randomUUID()}@example.com`
    for (const status of [401, 401, 429])
      expect((await guess(email, undefined, strict)).statusCode).toBe(status)
    expect(retryAfter(await guess(email, undefined, strict))).toBeLessThanOrEqual(20)
  })
})

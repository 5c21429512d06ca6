/**
 * Wake-ups go to whoever listens, and any login may: what they carry says nothing about whose router it is,
 * to whoever knows ids.
 */
import { createHash, getHashes } from 'node:crypto'
import pg from 'pg'
import { beforeAll, describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import type { LoginRole } from '../../src/database/setup.ts'
import { loginUrl } from '../support/database.ts'
import { openServer, type Person, type Router, sharedWorld, worldOf } from '../support/world.ts'

/** Who serves requests or looks on; the others read or make everything. */
const LOGINS: LoginRole[] = ['server', 'auth', 'admin', 'monitor']

let bob: Person
beforeAll(async () => {
  bob = await (await sharedWorld()).person()
})

/** What a login hears while the work is done. */
async function heardBy(login: LoginRole, work: () => Promise<unknown>): Promise<string[]> {
  const client = new pg.Client({ connectionString: loginUrl(inject('database'), login) })
  await client.connect()
  onTestFinished(() => client.end())
  const heard: string[] = []
  client.on('notification', ({ payload = '' }) => heard.push(payload))
  await client.query('listen netpilot_policy')
  await work()
  // What was committed before is delivered with the answer to the next statement at the latest.
  await client.query('select')
  return heard
}

const change = (router: Router) =>
  router.owner.call('PATCH', `/api/routers/${router.id}`, { body: { mode: 'whitelist' } })

/**
 * All that can be had of an id without a key: itself, and every digest, as text and as bytes, whole or the
 * beginning.
 */
function computableFrom(id: string): Set<string> {
  const hex = id.replaceAll('-', '')
  const bytes = Buffer.from(hex, 'hex')
  const forms = [
    id,
    id.toUpperCase(),
    hex,
    hex.toUpperCase(),
    bytes,
    `netpilot_policy${id}`,
    `netpilot_policy|${id}`,
  ]
  const digests = getHashes().flatMap((name) => {
    try {
      return forms.map((form) =>
        createHash(name, name.startsWith('shake') ? { outputLength: 32 } : {})
          .update(form)
          .digest(),
      )
    } catch {
      return [] // OpenSSL names some that it does not compute.
    }
  })
  const values = [bytes, ...digests].flatMap((digest) =>
    (['hex', 'base64', 'base64url'] as const).map((form) => digest.toString(form)),
  )
  return new Set([id, ...values].map((value) => value.toLowerCase()))
}

describe('who listens as', () => {
  it.each(LOGINS)(
    '%s hears that some policy changed, and nothing that follows from an id they know',
    async (login) => {
      const router = await bob.router()
      const heard = await heardBy(login, () => change(router))
      expect(heard.length).toBeGreaterThan(0)
      const ids = [bob.id, router.id, router.keyId]
      for (const [id, values] of ids.map((each) => [each, [...computableFrom(each)]] as const)) {
        expect(values.length).toBeGreaterThan(300)
        // Digests are compared in part too: eight characters in common would be no accident.
        for (const payload of heard.map((each) => each.toLowerCase()))
          expect(
            values.filter((value) => payload.includes(value.slice(0, 8)) || value.includes(payload)),
            id,
          ).toEqual([])
      }
    },
  )

  it.each(['server', 'auth', 'admin', 'monitor', 'backup'] as const)(
    '%s cannot ask for what somebody’s router is called',
    async (login) => {
      const router = await bob.router()
      const client = new pg.Client({ connectionString: loginUrl(inject('database'), login) })
      await client.connect()
      onTestFinished(() => client.end())
      const asked = client.query('select ctx.wake_digest($1, $2)', [router.owner.id, router.id])
      await expect(asked).rejects.toMatchObject({ code: '42501' })
    },
  )
})

describe('the agent whose router it is', () => {
  /** An agent that has looked, and waits so many seconds for another policy than the one of now. */
  async function waiting(seconds: number, options: Parameters<typeof openServer>[2] = {}) {
    const server = await openServer({}, undefined, options)
    onTestFinished(server.close)
    const router = await (await worldOf(server).person()).router()
    const { revision } = (await router.call('GET', '/api/agent/policy')).json()
    const { server: pool } = server.pools
    const looks = vi.spyOn(pool, 'connect')
    const ask = () =>
      router.call('GET', '/api/agent/policy', {
        headers: { 'if-none-match': `"${revision}"` },
        query: { wait: `${seconds}` },
      })
    const answer = ask()
    // It looks before it begins to watch, and once more since.
    await expect
      .poll(() => looks.mock.calls.length >= 2 && pool.idleCount === pool.totalCount, { timeout: 5_000 })
      .toBe(true)
    return { router, answer, ask }
  }

  it('is woken by it', async () => {
    const { router, answer } = await waiting(60)
    await change(router)
    expect((await answer).statusCode).toBe(200)
  })

  it('hears of a change at its next question when no wake-up told of it, as between servers of two versions', async () => {
    const { router, answer, ask } = await waiting(3, { listen: () => ({ close: async () => {} }) })
    await change(router)
    expect([(await answer).statusCode, (await ask()).statusCode]).toEqual([304, 200])
  })
})

/** Wake-ups go to whoever listens, and any login may: what they carry says nothing about whose router it is, to whoever knows ids. */
import { createHash, getHashes } from 'node:crypto'
import pg from 'pg'
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import type { LoginRole } from '../src/database/setup.ts'
import { loginUrl } from './support/database.ts'
import { openServer, type Person, type Router, sharedWorld, worldOf } from './support/world.ts'

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

const change = (router: Router) => router.owner.call('PATCH', `/api/routers/${router.id}`, { body: { mode: 'whitelist' } })

/** All that can be had of an id without a key: itself, and every digest, as text and as bytes, whole or the beginning. */
function computableFrom(id: string): Set<string> {
  const hex = id.replaceAll('-', '')
  const bytes = Buffer.from(hex, 'hex')
  const forms = [id, id.toUpperCase(), hex, hex.toUpperCase(), bytes, `netpilot_policy${id}`, `netpilot_policy|${id}`]
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
  const values = [bytes, ...digests].flatMap((digest) => (['hex', 'base64', 'base64url'] as const).map((form) => digest.toString(form)))
  return new Set([id, ...values].map((value) => value.toLowerCase()))
}

describe('who listens as', () => {
  it.each(LOGINS)('%s hears that some policy changed, and nothing that follows from an id they know', async (login) => {
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
  })

  it.each(['server', 'auth', 'admin', 'monitor', 'backup'] as const)(
    '%s cannot ask for what somebody’s router is called',
    async (login) => {
      const router = await bob.router()
      const client = new pg.Client({ connectionString: loginUrl(inject('database'), login) })
      await client.connect()
      onTestFinished(() => client.end())
      const asked = client.query('select ctx.wake_digest($1)', [router.id])
      await expect(asked).rejects.toMatchObject({ code: '42501' })
    },
  )
})

/** @returns asks for another policy than the one of now, and waits so many seconds for it */
async function waiting(router: Router, seconds: number) {
  const { revision } = (await router.call('GET', '/api/agent/policy')).json()
  const headers = { 'if-none-match': `"${revision}"` }
  return () => router.call('GET', '/api/agent/policy', { headers, query: { wait: `${seconds}` } })
}

describe('the agent whose router it is', () => {
  it('is woken, and the agent of another router of the same owner is not', async () => {
    const [home, office] = [await bob.router(), await bob.router()]
    const [askHome, askOffice] = [await waiting(home, 30), await waiting(office, 2)]
    const began = performance.now()
    const answers = Promise.all([askHome(), askOffice()])
    await change(home)
    expect((await answers).map(({ statusCode }) => statusCode)).toEqual([200, 304])
    expect(performance.now() - began).toBeLessThan(20_000)
  })

  it('hears of a change at its next question when no wake-up told of it, as between servers of two versions', async () => {
    const server = await openServer({}, undefined, { listen: () => ({ close: async () => {} }) })
    onTestFinished(server.close)
    const router = await (await worldOf(server).person()).router()
    const ask = await waiting(router, 1)
    const answer = ask()
    await change(router)
    expect([(await answer).statusCode, (await ask()).statusCode]).toEqual([304, 200])
  })
})

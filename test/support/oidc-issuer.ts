/** An issuer of ID tokens as operators run one: a separate process on a separate port. */
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Control } from './oidc-issuer-process.ts'
import type { World } from './world.ts'

type Claims = Record<string, unknown>
export type Issuer = Awaited<ReturnType<typeof startIssuer>>

/** The address to which people may be sent back. */
export const OIDC_FRONTEND = 'https://app.example.com'

/** A person who has an account at the issuer, with the claims of its tokens. */
export function issuerAccount(claims: Claims = {}) {
  const sub = randomUUID()
  return { sub, email: `${sub}@example.com`, email_verified: true, name: 'Ada Lovelace', ...claims }
}

export async function startIssuer() {
  const child = fork(join(import.meta.dirname, 'oidc-issuer-process.ts'), { execArgv: [] })
  const [{ issuer, clientId, clientSecret }] = (await once(child, 'message')) as [
    { issuer: string; clientId: string; clientSecret: string },
  ]
  return {
    issuer,
    /**
     * The environment that makes a server use it: the four variables that operators set, and the server's own
     * address.
     */
    env: {
      OIDC_ISSUER: issuer,
      OIDC_CLIENT_ID: clientId,
      OIDC_CLIENT_SECRET: clientSecret,
      OIDC_NAME: 'Pocket ID',
      PUBLIC_URL: 'https://netpilot.example.com',
      CORS_ORIGINS: OIDC_FRONTEND,
    },
    /** Sets the faults from now on; {} removes them. @returns the paths requested since the last call */
    async control(control: Control): Promise<string[]> {
      const answer = await fetch(`${issuer}/control`, { method: 'POST', body: JSON.stringify(control) })
      return ((await answer.json()) as { asked: string[] }).asked
    },
    /**
     * Acts as the browser of a person who is signed in there. @returns the address to which the issuer sends
     * them back
     */
    async consent(location: string, account: Claims = issuerAccount()): Promise<URL> {
      const cookie = `account=${Buffer.from(JSON.stringify(account)).toString('base64url')}`
      const answer = await fetch(location, { headers: { cookie }, redirect: 'manual' })
      if (answer.status !== 302)
        throw new Error(`the issuer answered ${answer.status}: ${await answer.text()}`)
      return new URL(answer.headers.get('location') ?? '')
    },
    async close() {
      const gone = once(child, 'exit')
      child.kill()
      await gone
    },
  }
}

/** Acts as a browser: to the issuer and back. @returns the answer of the callback */
export async function walkTo(
  issuer: Issuer,
  send: World['send'],
  { account, purpose }: { account?: Claims; purpose?: 'prove' } = {},
) {
  const { answer, cookie } = await beginAt(send, purpose)
  const back = await issuer.consent(String(answer.headers.location), account)
  return comeBackTo(send, back, cookie)
}

export async function beginAt(send: World['send'], purpose?: 'prove') {
  const query = { returnTo: `${OIDC_FRONTEND}/signed-in`, ...(purpose && { purpose }) }
  const answer = await send('GET', '/api/auth/oidc/start', { query })
  const [cookie] = answer.cookies as { name: string; value: string }[]
  return { answer, cookie: cookie ? `${cookie.name}=${cookie.value}` : '' }
}

export const comeBackTo = (send: World['send'], { pathname, search }: URL, cookie: string) =>
  send('GET', pathname + search, { headers: cookie ? { cookie } : {} })

/** What the frontend gets in the address: a `code` or an `error`. */
export const outcomeOf = (answer: { headers: Record<string, unknown> }) =>
  Object.fromEntries(new URL(String(answer.headers.location)).searchParams)

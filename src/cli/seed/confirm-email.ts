import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Api } from './api.ts'

const PATIENCE_MS = 10_000

/** Confirms an address with the token of the mail, which the temporary server writes into the outbox. */
export async function confirmEmail(api: Api, email: string, outbox: string, since: Date): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ; await setTimeout(50)) {
    const token = await findToken(outbox, email, since)
    if (token) return void (await api(undefined, 'POST', '/api/auth/verify-email', { token }))
    if (Date.now() > deadline) throw new Error(`There is no mail to ${email} in ${outbox}.`)
  }
}

async function findToken(outbox: string, email: string, since: Date): Promise<string | undefined> {
  const first = since.toISOString().replaceAll(/[-:.]/g, '')
  const names = await readdir(outbox).catch(() => [])
  for (const name of names.filter((name) => name.endsWith('.eml') && name >= first)) {
    const mail = await readFile(join(outbox, name), 'utf8')
    const [token] = /^npt_\w+$/m.exec(mail) ?? []
    if (token && mail.includes(`\nTo: ${email}\n`)) return token
  }
  return undefined
}

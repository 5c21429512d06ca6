import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** What an installation with the embedded database keeps to itself: signing secrets and the passwords of its database roles. */
export type LocalSecrets = {
  jwtSecret: string
  passwordPepper: string
  databasePasswords: Record<'migrator' | 'server' | 'auth' | 'admin', string>
}

const random = () => randomBytes(32).toString('base64url')

/** Reads the secrets of an installation, readable by its user only, or makes them at the first start. Two starts at once agree. */
export async function keepSecrets(path: string): Promise<LocalSecrets> {
  const read = async () => JSON.parse(await readFile(path, 'utf8')) as LocalSecrets
  const kept = await read().catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw new Error(`${path} cannot be read: ${error.message}`)
  })
  if (kept) return kept
  // Passable for others, because started by root the database runs as another user; the file itself is its user's alone.
  await mkdir(dirname(path), { recursive: true, mode: 0o711 })
  const secrets: LocalSecrets = {
    jwtSecret: random(),
    passwordPepper: random(),
    databasePasswords: { migrator: random(), server: random(), auth: random(), admin: random() },
  }
  // Written whole under another name, then linked: the first one there wins, and nobody ever reads half a file.
  const draft = `${path}.${process.pid}`
  await writeFile(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flush: true })
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft)
  return read()
}

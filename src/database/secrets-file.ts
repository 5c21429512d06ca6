/**
 * `secrets.json`: the secrets of an installation with the embedded database. Only its user can read the file.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StartRefused } from './start-refused.ts'

export type LocalSecrets = {
  jwtSecret: string
  passwordPepper: string
  databasePasswords: Record<'migrator' | 'server' | 'auth' | 'admin', string>
  /**
   * PostgreSQL's system identifier of the cluster that these secrets belong to; absent until the first start
   * has created the cluster.
   */
  databaseId?: string
}

const random = () => randomBytes(32).toString('base64url')

/**
 * @returns undefined when there is no such file @throws StartRefused when it holds no secrets, and what
 * reading a file throws
 */
export async function readSecrets(path: string): Promise<LocalSecrets | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const secrets = parsed(text)
  if (isWhole(secrets)) return secrets
  throw new StartRefused(`${path} does not hold the secrets that a first start wrote: it was cut short, or edited.
  - Put back the secrets.json that was copied together with this database.
  - Or begin anew with an empty database: mv ${dirname(path)} ${dirname(path)}.old`)
}

/** The parser's own message would quote the file's content. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isWhole(value: unknown): value is LocalSecrets {
  const { jwtSecret, passwordPepper, databasePasswords } = (value ?? {}) as Partial<LocalSecrets>
  const { migrator, server, auth, admin } = databasePasswords ?? {}
  return [jwtSecret, passwordPepper, migrator, server, auth, admin].every(
    (secret) => typeof secret === 'string' && secret.length > 0,
  )
}

/** Creates the secrets of a new installation. Two concurrent starts both get the secrets of the first. */
export async function makeSecrets(path: string): Promise<LocalSecrets> {
  // Other users may pass through the directory: when root starts NetPilot, the database runs as another user.
  // Only its own user can read the file itself.
  await mkdir(dirname(path), { recursive: true, mode: 0o711 })
  const draft = await writeDraft(path, {
    jwtSecret: random(),
    passwordPepper: random(),
    databasePasswords: { migrator: random(), server: random(), auth: random(), admin: random() },
  })
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft)
  return (await readSecrets(path)) as LocalSecrets
}

/** Records which cluster the secrets belong to. */
export async function bindSecrets(path: string, secrets: LocalSecrets, databaseId: string): Promise<void> {
  await rename(await writeDraft(path, { ...secrets, databaseId }), path)
}

/** Writes the whole file under another name first, so that no process reads an incomplete file. */
async function writeDraft(path: string, secrets: LocalSecrets): Promise<string> {
  const draft = `${path}.${randomUUID()}`
  await writeFile(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flush: true })
  return draft
}

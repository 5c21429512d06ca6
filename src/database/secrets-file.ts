/** `secrets.json`: what an installation with the embedded database keeps to itself, readable by its user only. */
import { randomBytes, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

export type LocalSecrets = {
  jwtSecret: string
  passwordPepper: string
  databasePasswords: Record<'migrator' | 'server' | 'auth' | 'admin', string>
  /** PostgreSQL's system identifier of the cluster that these secrets belong to; absent until the first start has made it. */
  databaseId?: string
}

const random = () => randomBytes(32).toString('base64url')

/** @returns undefined when there is no such file @throws Error when it cannot be read */
export async function readSecrets(path: string): Promise<LocalSecrets | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`${path} cannot be read: ${(error as Error).message}`)
  }
}

/** Makes the secrets of a new installation. Of two starts at once, both get those of the first. */
export async function makeSecrets(path: string): Promise<LocalSecrets> {
  // Passable for others, because started by root the database runs as another user; the file itself is its user's alone.
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

/** Notes which cluster the secrets belong to. */
export async function bindSecrets(path: string, secrets: LocalSecrets, databaseId: string): Promise<void> {
  await rename(await writeDraft(path, { ...secrets, databaseId }), path)
}

/** Written whole under another name first, so that nobody ever reads half a file. */
async function writeDraft(path: string, secrets: LocalSecrets): Promise<string> {
  const draft = `${path}.${randomUUID()}`
  await writeFile(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600, flush: true })
  return draft
}

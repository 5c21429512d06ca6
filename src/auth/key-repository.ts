import type { SQL } from 'drizzle-orm'
import { and, asc, eq, isNull, sql } from '../database/drizzle.ts'
import { mine, ownerOf } from '../rls/mine.ts'
import type { Tx } from '../rls/session.ts'
import { apiKeys } from './table.ts'

export type KeyValues = {
  routerId: string
  name: string | null
  keyId: string
  prefix: string
  secretSha256: Buffer
  scopes: string[]
  expiresAt: Date | null
}

/** When a key stops working: when it expires, or when its overlap with a successor ends. Null: never. */
const ENDS_AT = sql<Date | null>`least(${apiKeys.expiresAt}, ${apiKeys.retiresAt})`.mapWith(apiKeys.expiresAt)

const columns = {
  id: apiKeys.id,
  name: apiKeys.name,
  prefix: apiKeys.prefix,
  scopes: apiKeys.scopes,
  createdAt: apiKeys.createdAt,
  expiresAt: ENDS_AT,
  lastUsedAt: apiKeys.lastUsedAt,
}

const ofRouter = (tx: Tx, routerId: string, more?: SQL) =>
  and(mine(tx, apiKeys), eq(apiKeys.routerId, routerId), isNull(apiKeys.revokedAt), more)
const unexpired = sql`(${ENDS_AT} is null or ${ENDS_AT} > now())`

export const listKeys = (tx: Tx, routerId: string) =>
  tx
    .select(columns)
    .from(apiKeys)
    .where(ofRouter(tx, routerId, unexpired))
    .orderBy(asc(apiKeys.createdAt), asc(apiKeys.id))

/** Holds the key's row: of two rotations at once, the second finds it gone. `inherits`: the expiry that its successor gets. */
export async function holdKey(tx: Tx, routerId: string, id: string) {
  const [key] = await tx
    .select({ ...columns, inherits: apiKeys.expiresAt })
    .from(apiKeys)
    .where(ofRouter(tx, routerId, and(eq(apiKeys.id, id), unexpired)))
    .for('update')
  return key
}

/**
 * Adds a key in a free one of the router's two slots; an expired key gives its slot up first.
 * @returns undefined when both slots are taken @throws SQLSTATE 23503 when there is no such router
 */
export async function addKey(tx: Tx, values: KeyValues) {
  await tx
    .update(apiKeys)
    .set({ revokedAt: ENDS_AT })
    .where(ofRouter(tx, values.routerId, sql`${ENDS_AT} <= now()`))
  // One slot after the other: under parallel requests the unique index decides, not what was read before.
  for (const slot of [1, 2]) {
    const [key] = await tx
      .insert(apiKeys)
      .values({ ...values, kind: 'agent', slot, userId: ownerOf(tx) })
      .onConflictDoNothing()
      .returning(columns)
    if (key) return key
  }
  return undefined
}

export async function revokeKey(tx: Tx, routerId: string, id: string): Promise<boolean> {
  const revoked = await tx
    .update(apiKeys)
    .set({ revokedAt: sql`now()` })
    .where(ofRouter(tx, routerId, and(eq(apiKeys.id, id), unexpired)))
    .returning({ id: apiKeys.id })
  return revoked.length > 0
}

/** Lets a key that is being replaced end in so many minutes, or when it would have ended anyway, whichever is sooner. */
export async function retireKey(tx: Tx, routerId: string, id: string, minutes: number): Promise<void> {
  await tx
    .update(apiKeys)
    .set({ retiresAt: sql`least(${apiKeys.retiresAt}, now() + make_interval(mins => ${minutes}::int))` })
    .where(ofRouter(tx, routerId, eq(apiKeys.id, id)))
}

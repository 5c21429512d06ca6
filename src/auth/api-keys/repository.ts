import type { SQL } from 'drizzle-orm'
import { and, asc, eq, isNull, sql } from '../../database/drizzle.ts'
import { findPage } from '../../modules/paging/page.ts'
import { ownerOf, ownRows } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { apiKeys } from './table.ts'

/** No person needs more keys. A script that creates one on every run gets an error. */
const MAX_PERSONAL_KEYS = 50

export type KeyValues = {
  /** Null: a personal key. */
  routerId: string | null
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

/** Live keys of a router, or (null) of the person. */
const ofHolder = (tx: Tx, routerId: string | null, more?: SQL) =>
  and(
    ownRows(tx, apiKeys),
    routerId === null
      ? and(isNull(apiKeys.routerId), madeSinceRevocation(tx))
      : eq(apiKeys.routerId, routerId),
    isNull(apiKeys.revokedAt),
    more,
  )
/** `revokePersonalKeys` revokes all existing keys without writing to their rows. */
const madeSinceRevocation = (tx: Tx) =>
  sql`not exists (select 1 from user_credentials c where c.user_id = ${ownerOf(tx)} and c.keys_revoked_at >= ${apiKeys.createdAt})`
const unexpired = sql`(${ENDS_AT} is null or ${ENDS_AT} > now())`

export const listKeys = (tx: Tx, routerId: string | null, page: { limit: number; offset: number }) =>
  findPage(page, ({ limit, offset }) =>
    tx
      .select({ ...columns, total: sql<number>`count(*) over ()::int` })
      .from(apiKeys)
      .where(ofHolder(tx, routerId, unexpired))
      .orderBy(asc(apiKeys.createdAt), asc(apiKeys.id))
      .limit(limit)
      .offset(offset),
  )

/**
 * Locks the key's row: of two simultaneous rotations, the second does not find it. `inherits`: the expiry of
 * the successor.
 */
export async function lockKey(tx: Tx, routerId: string | null, id: string) {
  const [key] = await tx
    .select({ ...columns, inherits: apiKeys.expiresAt })
    .from(apiKeys)
    .where(ofHolder(tx, routerId, and(eq(apiKeys.id, id), unexpired)))
    .for('update')
  return key
}

/**
 * Adds a personal key, or a router's key in a free one of its two slots. An expired key frees its slot first.
 * @returns undefined when the limit is reached
 * @throws SQLSTATE 23503 when there is no such router
 */
export async function addKey(tx: Tx, values: KeyValues) {
  await tx
    .update(apiKeys)
    .set({ revokedAt: ENDS_AT })
    .where(ofHolder(tx, values.routerId, sql`${ENDS_AT} <= now()`))
  if (values.routerId === null) {
    const { total } = await listKeys(tx, null, { limit: 1, offset: 0 })
    if (total >= MAX_PERSONAL_KEYS) return undefined
  }
  // The slots are tried one after the other. Under parallel requests the unique index decides, not an earlier
  // read.
  for (const slot of values.routerId === null ? [null] : [1, 2]) {
    const [key] = await tx
      .insert(apiKeys)
      .values({ ...values, kind: values.routerId === null ? 'personal' : 'agent', slot, userId: ownerOf(tx) })
      .onConflictDoNothing()
      .returning(columns)
    if (key) return key
  }
  return undefined
}

/**
 * Revokes every personal key of a person. It also works before the person is signed in.
 * @returns how many keys were live
 */
export async function revokePersonalKeys(tx: Tx, userId: string): Promise<number> {
  const [answer] = await tx.query<{ revoked: number }>({
    name: 'count personal keys',
    text: 'select ctx.count_personal_keys($1) as revoked',
    values: [userId],
  })
  await tx.query({
    name: 'revoke personal keys',
    text: 'update user_credentials set keys_revoked_at = now(), updated_at = now() where user_id = $1',
    values: [userId],
  })
  return answer?.revoked ?? 0
}

export async function revokeKey(tx: Tx, routerId: string | null, id: string): Promise<boolean> {
  const revoked = await tx
    .update(apiKeys)
    .set({ revokedAt: sql`now()` })
    .where(ofHolder(tx, routerId, and(eq(apiKeys.id, id), unexpired)))
    .returning({ id: apiKeys.id })
  return revoked.length > 0
}

/** Lets a replaced key expire after this many minutes, or at its own expiry if that is sooner. */
export async function retireKey(tx: Tx, routerId: string | null, id: string, minutes: number): Promise<void> {
  await tx
    .update(apiKeys)
    .set({ retiresAt: sql`least(${apiKeys.retiresAt}, now() + make_interval(mins => ${minutes}::int))` })
    .where(ofHolder(tx, routerId, eq(apiKeys.id, id)))
}

import type { SQL } from 'drizzle-orm'
import { and, asc, desc, eq, isNull, sql } from '../../database/drizzle.ts'
import { ownerOf, ownRows } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import { findPage } from '../paging/page.ts'
import { lockRouter } from '../routers/repository.ts'
import { routers } from '../routers/table.ts'
import { users } from '../users/table.ts'
import { type ListSettings, MAX_KEYS, type Setting } from './schema.ts'
import { settings } from './table.ts'

/** The owner of the settings: a router, or without `routerId` the person. */
export type SettingScope = { routerId?: string | undefined }

// The driver would parse a text value as JSON a second time when read as a column: "5" would become 5.
const columns = { key: settings.key, value: sql<unknown>`${settings.value}`, updatedAt: settings.updatedAt }

const within = (tx: Tx, { routerId }: SettingScope, more?: SQL) =>
  and(
    ownRows(tx, settings),
    routerId === undefined ? isNull(settings.routerId) : eq(settings.routerId, routerId),
    more,
  )

const ORDER = { key: settings.key, updatedAt: settings.updatedAt }

export const scopeExists = async (tx: Tx, { routerId }: SettingScope): Promise<boolean> =>
  routerId === undefined ||
  (await tx.$count(routers, and(ownRows(tx, routers), eq(routers.id, routerId)))) > 0

/** @returns undefined when there is no such router */
export async function listSettings(tx: Tx, { routerId, sort = 'key', ...page }: ListSettings) {
  if (!(await scopeExists(tx, { routerId }))) return undefined
  const where = within(tx, { routerId })
  const field = ORDER[sort.replace('-', '') as keyof typeof ORDER]
  return findPage(page, ({ limit, offset }) =>
    tx
      .select({ ...columns, total: sql<number>`count(*) over ()::int` })
      .from(settings)
      .where(where)
      .orderBy(sort.startsWith('-') ? desc(field) : asc(field), asc(settings.key))
      .limit(limit)
      .offset(offset),
  )
}

export async function findSetting(tx: Tx, scope: SettingScope, key: string): Promise<Setting | undefined> {
  const [setting] = await tx
    .select(columns)
    .from(settings)
    .where(within(tx, scope, eq(settings.key, key)))
  return setting
}

/**
 * Locks the router or the person, so that keys are added one after the other. @returns false when there is no
 * such router
 */
export async function lockScope(tx: Tx, { routerId }: SettingScope): Promise<boolean> {
  if (routerId !== undefined) return lockRouter(tx, routerId)
  const held = await tx
    .select({ id: users.id })
    .from(users)
    .where(eq(users.id, ownerOf(tx)))
    .for('no key update')
  return held.length > 0
}

/**
 * Writes a setting. Requires the lock of `lockScope`.
 * @param json the serialised value: drizzle would store JSON null as SQL null
 * @returns undefined when the scope already has the maximum number of keys
 */
export async function putSetting(
  tx: Tx,
  { routerId }: SettingScope,
  key: string,
  json: string,
): Promise<Setting | undefined> {
  const [setting] = await tx.query<Setting>({
    name: 'put setting',
    text: `insert into user_settings (user_id, router_id, setting_key, setting_value, updated_at)
      select $1, $2, $3, $4, now()
      where (select count(*) from user_settings where user_id = $1 and router_id is not distinct from $2 and setting_key <> $3) < $5
      on conflict (user_id, router_id, setting_key) do update set setting_value = excluded.setting_value, updated_at = excluded.updated_at
      returning setting_key as key, setting_value as value, updated_at as "updatedAt"`,
    values: [ownerOf(tx), routerId ?? null, key, json, MAX_KEYS],
  })
  return setting
}

export async function removeSetting(tx: Tx, scope: SettingScope, key: string): Promise<boolean> {
  const removed = await tx
    .delete(settings)
    .where(within(tx, scope, eq(settings.key, key)))
    .returning({ key: settings.key })
  return removed.length > 0
}

import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import type { User } from './schema.ts'

/** The signed-in person; undefined when the account was deleted at the same moment. */
export async function findMe(tx: Tx): Promise<User | undefined> {
  const profile = await findProfile(tx)
  if (!profile) return undefined
  const { avatarUrl: _, ...me } = profile
  return me
}

export type Profile = User & { avatarUrl: string | null }

export async function findProfile(tx: Tx): Promise<Profile | undefined> {
  // Apart, because functions in the list of a query on a sharded table are asked on its shard.
  const [[found], [apart]] = await Promise.all([
    tx.query<Omit<Profile, 'email' | 'hasPassword'>>({
      name: 'find profile',
      text: `select id, full_name as "fullName", avatar_url as "avatarUrl", role, email_verified_at is not null as "emailVerified",
          created_at as "createdAt" from users where id = $1`,
      values: [ownerOf(tx)],
    }),
    tx.query<Pick<Profile, 'email' | 'hasPassword'>>({
      name: 'find address',
      text: 'select ctx.email() as email, ctx.has_password() as "hasPassword"',
    }),
  ])
  return found && apart && { ...found, ...apart }
}

export async function lockProfile(tx: Tx): Promise<Profile | undefined> {
  await tx.query({
    name: 'hold profile',
    text: 'select 1 from users where id = $1 for no key update',
    values: [ownerOf(tx)],
  })
  return findProfile(tx)
}

/** An undefined `avatarUrl` is not changed. */
export async function changeProfile(
  tx: Tx,
  { fullName, avatarUrl }: { fullName: string | null; avatarUrl?: string | null },
): Promise<Profile | undefined> {
  await tx.query({
    name: 'change profile',
    text: `update users set full_name = $2, avatar_url = case when $3 then $4 else avatar_url end, updated_at = now() where id = $1`,
    values: [ownerOf(tx), fullName, avatarUrl !== undefined, avatarUrl ?? null],
  })
  return findProfile(tx)
}

/** Every table that a person's own role may read, except reference data and the account itself. */
export const EXPORTED_TABLES = [
  'user_routers',
  'user_device_groups',
  'user_devices',
  'user_device_interfaces',
  'user_device_merges',
  'user_whitelists',
  'user_blacklists',
  'user_blocked_devices',
  'user_schedules',
  'user_schedule_overrides',
  'user_settings',
  'user_scans',
  'user_audit_log',
] as const

/**
 * Exports all data of the person, by table. It is one statement, so that all data is from the same moment.
 */
export async function exportUserData(tx: Tx): Promise<Record<string, unknown[]>> {
  const [found] = await tx.query<{ rows: Record<string, unknown[]> }>({
    name: 'export home',
    text: `select json_build_object(${EXPORTED_TABLES.map(
      (table) =>
        `'${table}', (select coalesce(json_agg(to_jsonb(t) - 'user_id'), '[]') from ${table} t where t.user_id = $1)`,
    ).join(', ')}) as rows`,
    values: [ownerOf(tx)],
  })
  return found?.rows ?? {}
}

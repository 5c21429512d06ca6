import { ownerOf } from '../../rls/own-rows.ts'
import type { Tx } from '../../rls/transaction.ts'
import type { User } from './schema.ts'

/** The signed-in person; undefined when the account was deleted at the same moment. */
export async function findMe(tx: Tx): Promise<User | undefined> {
  const [me] = await tx.query<User>({
    name: 'find me',
    text: `select id, ctx.email() as email, full_name as "fullName", role, email_verified_at is not null as "emailVerified", ctx.has_password() as "hasPassword",
      created_at as "createdAt" from users where id = $1`,
    values: [ownerOf(tx)],
  })
  return me
}

const PROFILE = `id, ctx.email() as email, full_name as "fullName", avatar_url as "avatarUrl", role, email_verified_at is not null as "emailVerified",
  ctx.has_password() as "hasPassword", created_at as "createdAt"`

export type Profile = User & { avatarUrl: string | null }

export async function findProfile(tx: Tx): Promise<Profile | undefined> {
  const [profile] = await tx.query<Profile>({
    name: 'find profile',
    text: `select ${PROFILE} from users where id = $1`,
    values: [ownerOf(tx)],
  })
  return profile
}

export async function lockProfile(tx: Tx): Promise<Profile | undefined> {
  const [profile] = await tx.query<Profile>({
    name: 'hold profile',
    text: `select ${PROFILE} from users where id = $1 for no key update`,
    values: [ownerOf(tx)],
  })
  return profile
}

/** An undefined `avatarUrl` is not changed. */
export async function changeProfile(
  tx: Tx,
  { fullName, avatarUrl }: { fullName: string | null; avatarUrl?: string | null },
): Promise<Profile | undefined> {
  const [profile] = await tx.query<Profile>({
    name: 'change profile',
    text: `update users set full_name = $2, avatar_url = case when $3 then $4 else avatar_url end, updated_at = now() where id = $1 returning ${PROFILE}`,
    values: [ownerOf(tx), fullName, avatarUrl !== undefined, avatarUrl ?? null],
  })
  return profile
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

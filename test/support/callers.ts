/**
 * Requests as each kind of caller, and a person's stored rows: the common parts of attacks on every
 * operation.
 */
import { type Operation, type Schema, urlOf } from './operations.ts'
import { type Person, type Router, rowsOf, type World } from './world.ts'

export type BodyOperation = Operation & { body: Schema }
type Somebody = { world: World; person: Person; router: Router; administrator: Person }

/**
 * Requests an operation as the person, the person's agent, an administrator, or a caller without an identity.
 */
export const enterAs =
  ({ world, person, router, administrator }: Somebody) =>
  (operation: Operation, options: Parameters<World['send']>[2] = {}, query = '') => {
    const call = { person: person.call, admin: administrator.call, agent: router.call, anyone: world.send }[
      operation.door
    ]
    return call(operation.method, `${urlOf(operation, {})}${query && `?${query}`}`, options)
  }

/**
 * A digest of these people's rows in each table with an owner. It leaves out when a key or a login session
 * was last used.
 */
export async function storedOf(people: Person[]): Promise<Record<string, string>> {
  const tables = await rowsOf<{ name: string }>(
    `select table_name as name from information_schema.columns where table_schema = 'public' and column_name = 'user_id' order by 1`,
  )
  const ids = people.map(({ id }) => id)
  const digests = tables.map(async ({ name }) => {
    const rows = `select md5(string_agg((to_jsonb(t) - '{last_used_at,last_seen_at}'::text[])::text, '|' order by t::text)) as digest`
    const [found] = await rowsOf<{ digest: string }>(`${rows} from "${name}" t where user_id = any($1)`, [
      ids,
    ])
    return [name, found?.digest ?? ''] as const
  })
  return Object.fromEntries(await Promise.all(digests))
}

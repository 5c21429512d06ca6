/**
 * These few functions write every row policy of the schema.
 *
 * `(user_id, true) = (select ctx.uid(), true)` is an equality and a bare `true` out of one sub-select.
 * PostgreSQL runs the sub-select once a statement and not once a row, and answers the equality from an index.
 * `true` costs nothing, so PostgreSQL checks it before every condition of the statement. The sub-select
 * therefore runs for the first row, no matter who owns it, so its run reveals nothing
 * (docs/decisions/0016-what-runs-before-a-policy.md).
 */
import type { AnyPgColumn } from 'drizzle-orm/pg-core'
import { pgPolicy, sql } from '../database/drizzle.ts'
import { appAdmin, appAgent, appAuth, appContext, appUser } from './roles.ts'

/** The signed-in person of this transaction, for column defaults. */
export const currentUserId = sql`ctx.uid()`

/** Whose rows a policy shows. */
export type Shown =
  | 'own'
  | 'of the router'
  | 'own, or everybody’s while nobody is signed in'
  | 'everybody’s, to an administrator'
  | 'all'
export type Columns = { owner?: string; router?: string }

/**
 * The condition of a policy. Tables that Citus distributes accept no sub-select. `isDistributed` gives the
 * form for them, in which PostgreSQL calls the function for each row that no index excluded.
 */
export function conditionOf(
  shown: Shown,
  { owner = 'user_id', router = 'router_id' }: Columns = {},
  isDistributed = false,
): string {
  const answer = (call: string) => (isDistributed ? call : `(select ${call})`)
  const equal = (responses: Record<string, string>) =>
    isDistributed
      ? Object.entries(responses)
          .map(([column, call]) => `${column} = ${call}`)
          .join(' and ')
      : `(${Object.keys(responses).join(', ')}, true) = (select ${Object.values(responses).join(', ')}, true)`
  switch (shown) {
    case 'own':
      return equal({ [owner]: 'ctx.uid()' })
    case 'of the router':
      return equal({ [owner]: 'ctx.agent_uid()', [router]: 'ctx.agent_router()' })
    case 'own, or everybody’s while nobody is signed in':
      return `${owner} = coalesce(${answer('ctx.uid()')}, ${owner})`
    case 'everybody’s, to an administrator':
      return answer('ctx.is_admin()')
    case 'all':
      return 'true'
  }
}

type Role = typeof appUser
const policy = (name: string, to: Role, shown: Shown, columns?: Columns) => {
  const condition = sql.raw(conditionOf(shown, columns))
  return pgPolicy(name, { for: 'all', to, using: condition, withCheck: condition })
}

/** Rows of the signed-in person. */
export const userPolicy = (table: string, userId: AnyPgColumn) =>
  policy(`${table}_user`, appUser, 'own', { owner: userId.name })

/** Rows of the one router that the agent's key belongs to. */
export const agentPolicy = (table: string, userId: AnyPgColumn, routerId: AnyPgColumn) =>
  policy(`${table}_agent`, appAgent, 'of the router', { owner: userId.name, router: routerId.name })

/** Credentials that a signed-in person manages: through the auth login, but only the rows of that person. */
export const ownAuthPolicy = (table: string, userId: AnyPgColumn) =>
  policy(`${table}_auth`, appAuth, 'own', { owner: userId.name })

/**
 * Before sign-in, the person is unknown, so the auth login sees every row of these few tables. It uses static
 * statements only.
 */
export const signInPolicy = (table: string, userId: AnyPgColumn) =>
  policy(`${table}_auth`, appAuth, 'own, or everybody’s while nobody is signed in', { owner: userId.name })

/** Counters of the auth login. Their keys belong to no person. */
export const counterPolicy = (table: string) => policy(`${table}_auth`, appAuth, 'all')

/**
 * The rows of all people, for an administrator: a separate login, whose policy also checks the sealed role.
 */
export const adminPolicy = (table: string) =>
  policy(`${table}_admin`, appAdmin, 'everybody’s, to an administrator')

/** What the identity functions read to prove an identity. Their owner cannot log in. */
export const contextPolicy = (table: string) => policy(`${table}_context`, appContext, 'all')

/** Reference data without an owner: every identity can read it, and none can write it. */
export const referencePolicies = (table: string) => [
  pgPolicy(`${table}_everyone`, { for: 'select', to: [appUser, appAgent], using: sql`true` }),
]

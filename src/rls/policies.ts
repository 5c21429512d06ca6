/**
 * Every row policy of the schema, written by these few functions and nowhere else.
 *
 * `(user_id, true) = (select ctx.uid(), true)` is an equality and a bare `true` out of one sub-select.
 * PostgreSQL runs the sub-select once a statement and not once a row, and answers the equality from an index.
 * `true` costs nothing, so it stands before every condition of the statement: the sub-select runs for the
 * first row, whoever's it is, and whether it ran tells nothing
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
 * The condition of a policy. Tables that are distributed with Citus take no sub-select: `isDistributed` is
 * the form for them, in which PostgreSQL calls the function for each row that no index left out.
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

/** Rows of the one router whose key the agent holds. */
export const agentPolicy = (table: string, userId: AnyPgColumn, routerId: AnyPgColumn) =>
  policy(`${table}_agent`, appAgent, 'of the router', { owner: userId.name, router: routerId.name })

/**
 * Credentials that a signed-in person manages: the auth login, but only rows of the person it has an identity
 * for.
 */
export const ownAuthPolicy = (table: string, userId: AnyPgColumn) =>
  policy(`${table}_auth`, appAuth, 'own', { owner: userId.name })

/**
 * Signing in happens before anybody is known, so until somebody is, the auth login sees these few tables
 * whole, by static statements only.
 */
export const signInPolicy = (table: string, userId: AnyPgColumn) =>
  policy(`${table}_auth`, appAuth, 'own, or everybody’s while nobody is signed in', { owner: userId.name })

/** What the auth login counts, under keys that are nobody's. */
export const counterPolicy = (table: string) => policy(`${table}_auth`, appAuth, 'all')

/** Everybody's rows, for an administrator: a login of its own, whose policy asks the sealed role as well. */
export const adminPolicy = (table: string) =>
  policy(`${table}_admin`, appAdmin, 'everybody’s, to an administrator')

/** What the identity functions look up to prove an identity; nobody can log in as their owner. */
export const contextPolicy = (table: string) => policy(`${table}_context`, appContext, 'all')

/** Reference data without an owner: readable by every identity, writable by none. */
export const referencePolicies = (table: string) => [
  pgPolicy(`${table}_everyone`, { for: 'select', to: [appUser, appAgent], using: sql`true` }),
]

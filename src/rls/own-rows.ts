import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { eq } from '../database/drizzle.ts'
import type { Tx } from './transaction.ts'

/**
 * The owner, named in every statement on an owned table. It routes the statement to a shard and helps the
 * planner; it protects nothing: protection is the policy's job, and the row-security tests leave it out.
 */
export function ownRows(tx: Tx, table: { userId: PgColumn }): SQL {
  return eq(table.userId, ownerOf(tx))
}

/**
 * The owner as a value, for inserts and static statements. @throws in a session that has no owner (signing
 * in)
 */
export function ownerOf(tx: Tx): string {
  if (tx.userId === undefined) throw new Error('this session has no owner')
  return tx.userId
}

import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { eq } from '../database/drizzle.ts'
import type { Tx } from './transaction.ts'

/**
 * The owner, which every statement on an owned table names. It routes the statement to a shard and helps the
 * planner. It protects nothing: the row policy protects, and the row-security tests leave this condition out.
 */
export function ownRows(tx: Tx, table: { userId: PgColumn }): SQL {
  return eq(table.userId, ownerOf(tx))
}

/**
 * The owner as a value, for inserts and static statements. @throws in a transaction without an owner (signing
 * in)
 */
export function ownerOf(tx: Tx): string {
  if (tx.userId === undefined) throw new Error('this session has no owner')
  return tx.userId
}

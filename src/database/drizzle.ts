/**
 * The only file that loads drizzle at run time. It uses `require`: imported as ES modules, drizzle-orm 0.45
 * costs each process 0.5 s and 170 MB, because Node re-reads its 178 KB package.json for every file
 * (drizzle-team/drizzle-orm#5934).
 */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

export const {
  and,
  asc,

  desc,
  eq,

  isNull,

  sql,
  DrizzleQueryError,
} = require('drizzle-orm') as typeof import('drizzle-orm')

export const {
  bigint,
  boolean,
  check,
  customType,
  foreignKey,

  index,
  inet,
  integer,
  jsonb,
  macaddr,
  pgPolicy,
  pgRole,
  pgTable,
  primaryKey,
  smallint,
  text,
  time,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} = require('drizzle-orm/pg-core') as typeof import('drizzle-orm/pg-core')

export const { drizzle } = require('drizzle-orm/node-postgres') as typeof import('drizzle-orm/node-postgres')

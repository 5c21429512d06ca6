/**
 * Fills `oui_prefixes` from the `oui-data` package, which is the IEEE's registry (MA-L, MA-M, MA-S) with its
 * postal addresses. Part of `npm run migrate`; does nothing when the table already holds this version of the
 * package.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import pg from 'pg'

const require = createRequire(import.meta.url)

/** The package exports only its data, so its version is read from its package.json. */
async function edition(): Promise<string> {
  const { version } = JSON.parse(
    await readFile(join(dirname(require.resolve('oui-data')), 'package.json'), 'utf8'),
  ) as { version: string }
  return `oui-data ${version}`
}

/** Whether the table holds the edition that belongs to this version of the software. */
export async function hasManufacturers(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ held: string | null }>(
    `select obj_description('public.oui_prefixes'::regclass) as held`,
  )
  return rows[0]?.held === (await edition())
}

/** @param client connected as the owner of the tables */
export async function loadManufacturers(client: pg.ClientBase): Promise<void> {
  if (await hasManufacturers(client)) return
  const registry = require('oui-data') as Record<string, string>
  const assignments = Object.entries(registry).map(([prefix, entry]) => ({
    prefix: Number.parseInt(prefix.padEnd(12, '0'), 16),
    bits: prefix.length * 4,
    organization: entry.split('\n', 1)[0]?.trim() ?? '',
  }))
  await client.query('begin')
  try {
    // Row security binds the owner too, and without an error. A transaction that changes rows switches it off
    // for itself.
    await client.query('alter table oui_prefixes no force row level security')
    await client.query('delete from oui_prefixes')
    await client.query(
      'insert into oui_prefixes (prefix, bits, organization) select * from unnest($1::bigint[], $2::smallint[], $3::text[]) on conflict do nothing',
      [
        assignments.map(({ prefix }) => prefix),
        assignments.map(({ bits }) => bits),
        assignments.map(({ organization }) => organization),
      ],
    )
    await client.query(`comment on table oui_prefixes is ${pg.escapeLiteral(await edition())}`)
    await client.query('alter table oui_prefixes force row level security')
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

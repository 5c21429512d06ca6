/**
 * Measures how PostgreSQL finds a page of a long log under row security: `node bench/ranges.ts`, half a
 * minute. One person has 200,000 audit events, 200 others have 500 each. It compares the statement that names
 * the owner and filters with `ctx.page_of_acts`, which begins with the sealed owner. Each reads a page of 50
 * at the top, in the middle and at the end, in turns; the results are medians.
 */
import pg from 'pg'
import { roleNames } from '../src/database/role-names.ts'
import { asAdmin, loginUrl, makeTestDatabase } from '../test/support/database.ts'
import { createUserWithAllRows } from '../test/support/fixtures.ts'
import { median } from './servers.ts'

const ACTS = 200_000
const ROUNDS = 30

const { database, close } = await makeTestDatabase()
try {
  const ada = await asAdmin(database.adminUrl, async (client) => {
    const somebody = await createUserWithAllRows(client)
    await client.query(
      `insert into user_audit_log (user_id, sequence, at, actor_kind, act, outcome, hash)
        select $1, n, now() - n * interval '1 minute', 'user', 'login', 'success', '' from generate_series(2, ${ACTS}) n`,
      [somebody.userId],
    )
    await client.query(
      `insert into user_audit_log (user_id, sequence, at, actor_kind, act, outcome, hash)
        select u, n, now() - n * interval '1 minute', 'user', 'login', 'success', '' from generate_series(1, 500) n,
          (select gen_random_uuid() as u from generate_series(1, 200)) others`,
    )
    await client.query('vacuum analyze user_audit_log')
    return somebody
  })
  const client = new pg.Client(loginUrl(database, 'server'))
  await client.connect()
  const ways = {
    filter: `select * from (select user_id, sequence, at, act from user_audit_log where user_id = $1
      and (at, sequence) < (now() - $2 * interval '1 minute', 0) order by at desc, sequence desc limit 50) p`,
    function: `select user_id, sequence, at, act from ctx.page_of_acts($1, null, null, null, null, null, now() - $2 * interval '1 minute', 0, 50)`,
  }
  process.stdout.write(
    `${'page after'.padEnd(14)}${Object.keys(ways)
      .map((way) => `${way} ms`.padStart(14))
      .join('')}\n`,
  )
  for (const depth of [0, ACTS / 2, ACTS - 100]) {
    const times = { filter: [] as number[], function: [] as number[] }
    for (let round = 0; round < ROUNDS; round += 1)
      for (const way of ['filter', 'function'] as const) {
        await client.query('begin')
        await client.query('select ctx.begin_context($1, $2)', [ada.userId, ada.sessionId])
        await client.query(`set local role ${pg.escapeIdentifier(roleNames(database.rolePrefix).user)}`)
        const began = performance.now()
        const { rowCount } = await client.query({ name: way, text: ways[way], values: [ada.userId, depth] })
        times[way].push(performance.now() - began)
        if (rowCount !== 50) throw new Error(`${way} found ${rowCount} acts`)
        await client.query('commit')
      }
    const cells = Object.values(times).map((all) => median(all).toFixed(2).padStart(14))
    process.stdout.write(`${String(depth).padEnd(14)}${cells.join('')}\n`)
  }
  await client.end()
} finally {
  await close()
}

/**
 * Measures the cost of a list of routers by their number: `node bench/routers.ts`, half a minute. One person
 * has one router, another a hundred; each router has as many devices as the argument says (3). It requests
 * the lists in turns, one at a time; the results are medians.
 */
import { asAdmin, makeTestDatabase } from '../test/support/database.ts'
import { callerOf, median, openServers, personWith } from './servers.ts'

const ROUNDS = 60
const devices = Number(process.argv[2] ?? 3)

const { database, close } = await makeTestDatabase()
const servers = openServers()
try {
  const { url } = await servers.start(database)
  const lists: { many: number; list: () => Promise<unknown>; times: number[] }[] = []
  for (const many of [1, 10, 100]) {
    const { account } = await personWith(url, devices)
    await asAdmin(database.adminUrl, async (client) => {
      await client.query(
        `with owner as (select id from users where email = $1), added as (
            insert into user_routers (user_id, router_name) select owner.id, 'R ' || n from owner, generate_series(2, $2::int) n returning user_id, id
          ) insert into user_devices (user_id, router_id, hostname) select user_id, id, 'd ' || n from added, generate_series(1, $3::int) n`,
        [account.email, many, devices],
      )
      await client.query('vacuum analyze')
    })
    const { accessToken } = await callerOf(url)<{ accessToken: string }>('POST', '/api/auth/login', account)
    const call = callerOf(url, { authorization: `Bearer ${accessToken}` })
    lists.push({ many, list: () => call('GET', '/api/routers?limit=200'), times: [] })
  }
  for (let round = 0; round < ROUNDS; round += 1)
    for (const { list, times } of lists) {
      const began = performance.now()
      await list()
      times.push(performance.now() - began)
    }
  const [one] = lists.map(({ times }) => median(times))
  for (const { many, times } of lists)
    process.stdout.write(
      `${many} routers: ${median(times).toFixed(2)} ms, ${(median(times) / (one ?? 1)).toFixed(2)} of one\n`,
    )
} finally {
  servers.killAll()
  await close()
}

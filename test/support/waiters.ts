/** Many agents that wait for their policy at once, on a server with a small pool. */
import { onTestFinished } from 'vitest'
import { openServer, worldOf } from './world.ts'

/** @param count of agents, all of one router */
export async function waitingAgents(count: number, env: Record<string, string> = {}) {
  let wakeAll = () => {}
  const server = await openServer(
    { DATABASE_POOL_SIZE: '4', DATABASE_ACQUIRE_TIMEOUT_MS: '3000', ...env },
    undefined,
    {
      listen: (wake) => {
        wakeAll = wake
        return { close: async () => {} }
      },
    },
  )
  const owner = await worldOf(server).person()
  const router = await owner.router()
  const { revision } = (await router.call('GET', '/api/agent/policy')).json()
  const headers = { 'if-none-match': `"${revision}"` }
  const waiting = Array.from({ length: count }, () =>
    router.call('GET', '/api/agent/policy?wait=60', { headers }),
  )
  const statuses = () =>
    Promise.all(waiting).then((answers) => new Set(answers.map(({ statusCode }) => statusCode)))
  onTestFinished(async () => {
    server.closing.abort()
    await Promise.all(waiting)
    await server.close()
  })
  return { server, owner, router, statuses, wakeAll: () => wakeAll() }
}

/**
 * Checks that the end of a login session applies on every server: `node bench/revocation.ts`, half a minute.
 * Two servers run as separate processes on one database. One answers requests with an access token as fast as
 * it can; the other ends the login session of that token. It counts requests that were sent after that answer
 * and still succeeded. It exits with 1 when there was one.
 */
import { makeTestDatabase } from '../test/support/database.ts'
import { openConnection } from './connection.ts'
import { callerOf, median, openServers, personWith } from './servers.ts'

const ROUNDS = 10
const CONNECTIONS = 8
/** Until the rate is steady, then until the login session is ended, then until the stream ends. */
const [WARM_UP_MS, BEFORE_MS, AFTER_MS] = [500, 1_000, 1_000]

const { database, close } = await makeTestDatabase()
const servers = openServers()
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function endWhileStreaming(a: string, b: string) {
  const { account, accessToken } = await personWith(b, 1)
  const other = await callerOf(a)<{ accessToken: string }>('POST', '/api/auth/login', account)
  const endOther = callerOf(a, { authorization: `Bearer ${other.accessToken}` })
  const { items } = await callerOf(b, { authorization: `Bearer ${accessToken}` })<{
    items: { id: string; current: boolean }[]
  }>('GET', '/api/auth/sessions')
  const doomed = items.find(({ current }) => current)
  if (!doomed) throw new Error('the list of login sessions does not say which one is this')

  const answers: { sentAt: number; answeredAt: number; status: number }[] = []
  let isOver = false
  const stream = async () => {
    const connection = await openConnection(new URL('/api/auth/me', b), accessToken)
    while (!isOver) {
      const sentAt = performance.now()
      const status = await connection.send()
      answers.push({ sentAt, answeredAt: performance.now(), status })
    }
    connection.close()
  }
  const streams = Promise.all(Array.from({ length: CONNECTIONS }, stream))
  await sleep(WARM_UP_MS)
  const steadyAt = performance.now()
  await sleep(BEFORE_MS)
  const askedAt = performance.now()
  await endOther('DELETE', `/api/auth/sessions/${doomed.id}`)
  const endedAt = performance.now()
  await sleep(AFTER_MS)
  isOver = true
  await streams

  const sent = (from: number, to: number) => answers.filter(({ sentAt }) => sentAt >= from && sentAt < to)
  const after = sent(endedAt, Number.POSITIVE_INFINITY)
  return {
    rate: (sent(steadyAt, askedAt).length / (askedAt - steadyAt)) * 1_000,
    refusedBefore: answers.filter(({ answeredAt, status }) => answeredAt < askedAt && status !== 200).length,
    after: after.length,
    refused: after.filter(({ status }) => status === 401).length,
    succeeded: after.filter(({ status }) => status < 400).length,
    ms: endedAt - askedAt,
  }
}

const print = (cells: (string | number)[]) =>
  process.stdout.write(`${cells.map((cell) => String(cell).padStart(15)).join('')}\n`)

try {
  const [a, b] = [await servers.start(database), await servers.start(database)]
  print(['a second', 'refused before', 'DELETE ms', 'sent after it', 'refused', 'succeeded'])
  const rounds: Awaited<ReturnType<typeof endWhileStreaming>>[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const counted = await endWhileStreaming(a.url, b.url)
    rounds.push(counted)
    print([
      counted.rate.toFixed(0),
      counted.refusedBefore,
      counted.ms.toFixed(1),
      counted.after,
      counted.refused,
      counted.succeeded,
    ])
  }
  const total = (part: 'refusedBefore' | 'after' | 'refused' | 'succeeded') =>
    rounds.reduce((sum, counted) => sum + counted[part], 0)
  const middle = (part: 'rate' | 'ms', digits: number) =>
    median(rounds.map((counted) => counted[part])).toFixed(digits)
  process.stdout.write('medians, and together:\n')
  print([
    middle('rate', 0),
    total('refusedBefore'),
    middle('ms', 1),
    total('after'),
    total('refused'),
    total('succeeded'),
  ])
  // Requests that were refused from the beginning, or never sent, would prove nothing.
  if (total('succeeded') > 0 || total('refusedBefore') > 0 || rounds.some(({ after }) => after === 0))
    process.exitCode = 1
} finally {
  servers.killAll()
  await close()
}

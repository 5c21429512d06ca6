/** Scans as tests post them, and their results. */
import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { Answer, Router } from './world.ts'

type Counts = { created: number; updated: number; unchanged: number; skipped: number; total: number }

export const postScan = (router: Router, body: object) => router.call('POST', '/api/agent/scans', { body })
export const postSources = (router: Router, ...sources: { format: string; content: unknown }[]) =>
  postScan(router, { scanId: randomUUID(), takenAt: minutesAgo(0), sources })
export const postRaw = (router: Router, body: string, query: Record<string, string>) =>
  router.call('POST', '/api/agent/scans', { body, query, headers: { 'content-type': 'text/plain' } })

export const minutesAgo = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString()

export const countsOf = (answer: Answer): Counts => {
  const { created, updated, unchanged, skipped, total } = answer.json()
  return { created, updated, unchanged, skipped, total }
}
export const counts = (created: number, updated: number, unchanged: number, skipped = 0): Counts => ({
  ...{ created, updated, unchanged, skipped },
  total: created + updated + unchanged,
})

/** Devices as `macs addresses host-name`, sorted. */
export const seenBy = async (router: Router): Promise<string[]> =>
  (await router.devices())
    .map(({ macs, ips, hostname }) =>
      [(macs as string[]).join(), (ips as string[]).join(), hostname ?? ''].join(' ').trim(),
    )
    .sort()

export async function onlyDevice(router: Router): Promise<Record<string, unknown>> {
  const [device, ...others] = await router.devices()
  expect(others).toEqual([])
  return device ?? expect.fail('there is no device')
}

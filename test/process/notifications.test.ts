/** The connection that listens: what was missed is looked for, also when the connection only looks alive. */
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import {
  DEFAULT_HEARTBEAT,
  listenForNotifications,
  type NotificationsOptions,
} from '../../src/database/notifications.ts'
import { asAdmin, loginUrl } from '../support/database.ts'
import { openProxy } from '../support/outage.ts'

const { adminUrl, ...database } = inject('database')
const CHANNEL = 'test_notifications'
const notify = (payload: string) =>
  asAdmin(adminUrl, (client) => client.query('select pg_notify($1, $2)', [CHANNEL, payload]))

/** Listens through a proxy. */
async function listening(options: Partial<NotificationsOptions> = {}) {
  const proxy = await openProxy(new URL(adminUrl).host)
  const through = new URL(loginUrl({ adminUrl, ...database }, 'server'))
  through.host = proxy.address
  const heard: string[] = []
  const errors: string[] = []
  let gaps = 0
  const notifications = listenForNotifications({
    url: through.href,
    channel: CHANNEL,
    onNotification: (payload) => void heard.push(payload),
    onGap: () => {
      gaps += 1
    },
    onError: ({ message }) => void errors.push(message),
    ...options,
  })
  onTestFinished(async () => {
    await notifications.close()
    await proxy.cut()
  })
  await expect.poll(() => gaps).toBe(1)
  return { proxy, heard, errors, notifications, gaps: () => gaps }
}

describe('the connection that listens', () => {
  it('is made anew when its other end is silent for ever, and what was missed is looked for', async () => {
    const { proxy, heard, errors, gaps } = await listening({ heartbeat: { everyMs: 200, patienceMs: 300 } })
    await notify('before')
    await expect.poll(() => heard).toEqual(['before'])
    const began = performance.now()
    proxy.freeze()
    await notify('missed')
    await expect.poll(gaps, { timeout: 5_000 }).toBe(2)
    expect(performance.now() - began).toBeLessThan(3_000)
    expect(errors).toEqual(['Query read timeout'])
    await notify('after')
    await expect.poll(() => heard).toEqual(['before', 'after'])
  })

  it('is asked often enough by default to be noticed within 20 seconds, and left alone while it answers', async () => {
    const { everyMs, patienceMs } = DEFAULT_HEARTBEAT
    expect(everyMs + patienceMs).toBeLessThan(20_000)
    const { gaps, errors } = await listening({ heartbeat: { everyMs: 20, patienceMs } })
    await wait(500)
    expect([gaps(), errors]).toEqual([1, []])
  })

  it('is closed at once, also when its other end is silent', async () => {
    const { proxy, notifications } = await listening()
    proxy.freeze()
    const began = performance.now()
    await notifications.close()
    expect(performance.now() - began).toBeLessThan(1_000)
  })

  it('comes back when it was cut', async () => {
    const { proxy, heard, gaps } = await listening()
    await proxy.cut()
    await proxy.restore()
    await expect.poll(gaps, { timeout: 5_000 }).toBe(2)
    await notify('again')
    await expect.poll(() => heard).toEqual(['again'])
  })
})

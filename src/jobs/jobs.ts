/** Work that responses do not wait for: background tasks, mails, and the hourly purge. */
import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import type { Config } from '../config/config.ts'
import { createMailer, type Mailer } from '../mail/mailer.ts'
import type { WithTransaction } from '../rls/transaction.ts'
import { type BackgroundTasks, createBackgroundTasks } from './background-tasks.ts'
import { schedulePurge } from './purge.ts'

/** What a caller may replace. */
export type JobOptions = {
  /** Sends the mails. Default: over SMTP or into files, as configured. */
  mailer?: Mailer
  background?: BackgroundTasks
  /** Milliseconds until the first purge. Default: a random moment in the first minutes. */
  firstPurgeAfterMs?: number
}

export function createJobs(
  config: Config,
  log: FastifyBaseLogger,
  withTransaction: WithTransaction,
  { mailer: givenMailer, background: givenBackground, firstPurgeAfterMs }: JobOptions,
) {
  const background =
    givenBackground ?? createBackgroundTasks((err) => log.warn({ err }, 'background task failed'))
  const mailer =
    givenMailer ??
    createMailer({
      ...config.mail,
      outbox: join(config.dataDir, 'outbox'),
      log,
      closeMs: config.shutdown.drainMs,
    })
  const stopPurges = schedulePurge({
    withTransaction,
    auditDays: config.auditRetentionDays,
    scanDays: config.scans.retentionDays,
    firstAfterMs: firstPurgeAfterMs,
    onError: (err) => log.warn({ err }, 'purge failed'),
  })
  return {
    background,
    mailer,
    /** Waits for what has begun. */
    async stop() {
      stopPurges()
      await background.close()
      await mailer.close()
    },
  }
}

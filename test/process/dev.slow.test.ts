/**
 * `npm run dev` in a copy of the sources, which are changed, broken and mended under it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../src/database/embedded/server.ts'

const root = join(import.meta.dirname, '../..')
let copy: string
let dev: ChildProcess
let output = ''
let url: string

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'netpilot-dev-'))
  // Started by root, the database runs as another user, who must get through.
  await chmod(copy, 0o711)
  for (const name of ['src', 'scripts', 'drizzle', 'package.json', 'package-lock.json'])
    await cp(join(root, name), join(copy, name), { recursive: true })
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  dev = spawn('npm', ['run', 'dev'], {
    cwd: copy,
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
    // As a terminal gives it: Ctrl-C reaches the whole group.
    detached: true,
  })
  for (const stream of [dev.stdout, dev.stderr]) stream?.on('data', (chunk) => (output += String(chunk)))
})
afterAll(async () => {
  if (dev.exitCode === null && dev.pid) process.kill(-dev.pid, 'SIGKILL')
  await rm(copy, { recursive: true, force: true, maxRetries: 10 })
})

/** Resolves when `text` was printed `times` times. */
async function printed(text: string | RegExp, times = 1): Promise<void> {
  const found = () => output.match(new RegExp(text, 'g'))?.length ?? 0
  for (const deadline = Date.now() + 100_000; found() < times; await setTimeout(20))
    if (Date.now() > deadline || dev.exitCode !== null)
      throw new Error(`${text} was printed ${found()} times, not ${times}:\n${output}`)
}

const databases = async () => {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'args'])
  return stdout
    .split('\n')
    .filter((line) => line.includes(`postgres -D ${copy}/`) && !line.startsWith('/bin/sh'))
}

const source = () => join(copy, 'src/start-message.ts')
/** As editors and git do it: the new file takes the place of the old one. */
async function replaceSource(change: (text: string) => string): Promise<void> {
  await writeFile(`${source()}.new`, change(await readFile(source(), 'utf8')))
  await rename(`${source()}.new`, source())
}

describe('npm run dev', { timeout: 120_000 }, () => {
  it('serves, with a log for people to read', async () => {
    await printed('is running')
    expect((await fetch(`${url}/api/devices`)).status).toBe(401)
    await printed('INFO.*: GET /api/devices 401 \\d+ ms')
    expect(output).not.toContain('{"level"')
  })

  it('starts again with each change, also of a file that was replaced before, on the one database', async () => {
    for (const time of [1, 2]) {
      await replaceSource((text) => text.replace(/is running\d*/, `is running${time}`))
      await printed(`is running${time}`)
      expect((await fetch(`${url}/health`)).status).toBe(200)
      expect(await databases()).toHaveLength(1)
    }
    expect(output.match(/the database that was there is used/g)).toHaveLength(2)
    expect(output).not.toMatch(/told twice|EADDRINUSE|stale|ERROR|FATAL/)
  })

  it('outlives a source that cannot be read, and goes on when it can', async () => {
    await replaceSource((text) => `const = ;\n${text}`)
    await printed('the server ended; it starts again')
    expect(output).toContain('ERR_INVALID_TYPESCRIPT_SYNTAX')
    await replaceSource((text) => text.replace('const = ;\n', '').replace('is running2', 'is running3'))
    await printed('is running3')
    expect((await fetch(`${url}/health`)).status).toBe(200)
  })

  it('takes a file that is new', async () => {
    await writeFile(join(copy, 'src/new.ts'), 'export const nothing = 0\n')
    await printed('is running3', 2)
  })

  it('stops in order with Ctrl-C, and its database with it', async () => {
    const ended = once(dev, 'exit')
    process.kill(-(dev.pid ?? 0), 'SIGINT')
    expect(await ended).toEqual([0, null])
    expect(output.trimEnd().split('\n').at(-1)).toMatch(/INFO.*: closed$/)
    expect(await databases()).toEqual([])
  })
})

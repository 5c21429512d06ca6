/** The README's walk, as somebody pastes it: against a server process, once, again, and slowly. */
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serverProcesses } from '../support/server-process.ts'

const root = join(import.meta.dirname, '../..')
const processes = serverProcesses()
let dataDir: string
/** The reader's copy of the sources: what the walk leaves in it is not left in this one. */
let home: string
let url: string
let walk: string

beforeAll(async () => {
  const [, section = ''] =
    /^## A walk\b.*?\n(.*?)^## /ms.exec(await readFile(join(root, 'README.md'), 'utf8')) ?? []
  walk = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join('\n')
  dataDir = await mkdtemp(join(tmpdir(), 'netpilot-walk-'))
  home = await mkdtemp(join(tmpdir(), 'netpilot-walk-'))
  await symlink(join(root, 'test'), join(home, 'test'))
  // Started by root, the database runs as another user, who must get through.
  await chmod(dataDir, 0o711)
  // A walk takes longer than a token is good for.
  url = (await processes.start({ DATA_DIR: dataDir, ACCESS_TOKEN_SECONDS: '10' })).url
})
afterAll(async () => {
  processes.killAll()
  for (const directory of [dataDir, home])
    await rm(directory, { recursive: true, force: true, maxRetries: 10 })
})

/**
 * For the walk a minute takes less than a tenth of a second: what it believes to be ten minutes old is
 * renewed.
 */
const SLOWLY = 'date() { echo $(($(command date +%s%N) / 1000000)); }\n'

const walkIt = (script = walk, env: Record<string, string> = {}) =>
  promisify(execFile)('sh', ['-u', '-c', SLOWLY + script], {
    cwd: home,
    env: { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, NETPILOT: url, ...env },
  })

describe('the walk in the README', () => {
  it.each(['the first', 'the second', 'the third'])(
    'gets to its end, and everywhere on its way: %s time',
    { timeout: 120_000 },
    async () => {
      const { stdout, stderr } = await walkIt()
      expect(stderr).toBe('')
      for (const sight of [
        '"email":"ada@example.com"',
        '"created":',
        'Kitchen laptop',
        '"reason":"homework first"',
        'manual-block',
        'table inet netpilot',
        '"type":"pause"',
        '"affected":[',
      ])
        expect(stdout).toContain(sight)
      // Of all that was asked, one thing is refused: what is somebody else's.
      expect(stdout.match(/"status":[45]\d\d/g)).toEqual(['"status":404'])
      expect(stdout).toContain('{"items":[],"total":0')
      // The password of the walk is the reader's own.
      const password = await readFile(join(home, '.netpilot/walk-password'), 'utf8')
      expect(password).toMatch(/^[\w-]{24}\n$/)
      // The pause was over by itself.
      expect(stdout).toMatch(/98:3b:8f:4b:60:3d allow/)
    },
  )

  it('has the variables that the pages on accounts go on with', { timeout: 120_000 }, async () => {
    const page = await readFile(join(root, 'docs/accounts.md'), 'utf8')
    const [, script = ''] = /^## Scripts\b.*?^```sh\n(.*?)^```$/ms.exec(page) ?? []
    const { stdout, stderr } = await walkIt(`${walk}\necho; echo the script:\n${script}`)
    expect(stderr).toBe('')
    const [, answer = ''] = stdout.split('the script:\n')
    expect(JSON.parse(answer).items.length).toBeGreaterThan(1)
  })

  it('says in words what failed', async () => {
    const helpers = walk.slice(0, walk.indexOf('# An account.'))
    const refused = await walkIt(`${helpers}\nsign_in ada@example.com 'not the password'`)
    expect(refused.stderr).toBe('Refused: invalid-credentials The e-mail address or the password is wrong\n')
    const invalid = await walkIt(`${helpers}\nsign_in ada short`)
    expect(invalid.stderr).toContain('/body/email must be an e-mail address such as ada@example.com')
    const silent = await walkIt(`${helpers}\nsign_in ada@example.com 'a long password of hers'`, {
      NETPILOT: 'http://127.0.0.1:1',
    })
    expect(silent.stderr).toMatch(/curl: .*connect.*\nRefused: no answer/)
  })
})

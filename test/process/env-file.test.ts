/** An `.env` file that does not say what its writer meant. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../../src/config/config.ts'
import { envFileFaults } from '../../src/config/env-file.ts'

const root = join(import.meta.dirname, '../..')
const { names } = readConfig({})

async function folderWith(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'netpilot-env-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, '.env'), text)
  return folder
}
const faultsOf = async (text: string) => envFileFaults(names, join(await folderWith(text), '.env'))

describe('the names that NetPilot knows', () => {
  it('are those that .env.example describes', async () => {
    const described = (await readFile(join(root, '.env.example'), 'utf8')).matchAll(/^# ([A-Z_]+)=/gm)
    expect([...names].sort()).toEqual([...described].map(([, name]) => name).sort())
  })
})

describe('an .env file', () => {
  it.each([...names])(
    'that says %s is in order; with two letters swapped, or one missing, the right name is suggested',
    async (name) => {
      expect(await faultsOf(`${name}=1`)).toEqual([])
      for (const wrong of [
        `${name.slice(0, -2)}${name.at(-1)}${name.at(-2)}`,
        name.slice(0, -1),
        `X${name}`,
      ]) {
        if (names.has(wrong) || wrong === name) continue
        expect(await faultsOf(`${wrong}=1`)).toEqual([
          expect.stringContaining(`${wrong} is no variable of NetPilot: did you mean `),
        ])
      }
    },
  )

  it('is told from its lines: what nobody reads, and what is no setting, but no value', async () => {
    expect(
      await faultsOf(
        'PROT=31013\n\n# x\nAPP_ULR=https://planted.example\nplanted\nexport HOST=::\n  planted too\n',
      ),
    ).toEqual([
      'APP_ULR is no variable of NetPilot: did you mean APP_URL?',
      'PROT is no variable of NetPilot: did you mean PORT?',
      'line 5 has no "=", and so no effect',
      'line 7 has no "=", and so no effect',
    ])
    expect(await faultsOf('FAVOURITE_COLOUR=blue')).toEqual(['FAVOURITE_COLOUR is no variable of NetPilot'])
  })

  it('may have quoted values of several lines, and what Node, the driver and docker compose read', async () => {
    expect(
      await faultsOf(
        'MAIL_FROM="one\ntwo\nthree"\nNODE_OPTIONS=x\nPGSSLMODE=require\nTZ=UTC\nPOSTGRES_PASSWORD=x\n',
      ),
    ).toEqual([])
  })

  it('that is not there has no faults', async () => {
    expect(envFileFaults(names, '/nowhere/.env')).toEqual([])
  })

  it('is told of at a start, before anything else can fail; the environment is not', async () => {
    const cwd = await folderWith('PROT=31013\nDATABASE_URL=postgres://nobody@127.0.0.1:1/x\n')
    const env = { PATH: process.env.PATH, PROX: '1', HOST: '127.0.0.1', PORT: '0' }
    const child = spawn(process.execPath, [join(root, 'src/server.ts')], { cwd, env })
    let output = ''
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    await once(child, 'close')
    expect(output).toMatch(/^\.env: PROT is no variable of NetPilot: did you mean PORT\?\n/)
    expect(output).not.toMatch(/PROX|31013/)
  })
})

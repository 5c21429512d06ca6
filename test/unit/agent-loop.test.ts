/** The loop in docs/agents.md that enforces a policy on a router, with a server that answers as it is told. */
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'

const AGENTS = join(import.meta.dirname, '../../docs/agents.md')

/** Each answer of the server in turn: status and head; 000 is none. The loop ends when there is no more. */
const ANSWERS: [status: string, head: string][] = [
  ['200', 'HTTP/1.1 200 OK\r\nETag: "first"\r\n'],
  ['304', 'HTTP/1.1 304 Not Modified\r\nETag: "first"\r\n'],
  ['403', 'HTTP/1.1 403 Forbidden\r\nRetry-After: 3600\r\n'],
  ['000', ''],
  ['401', 'HTTP/1.1 401 Unauthorized\r\n'],
  ['503', 'HTTP/2 503 \r\nretry-after: 1\r\n'],
  ['200', 'HTTP/1.1 200 OK\r\netag: "second"\r\n'],
  ['304', ''],
]
const COMMANDS = {
  curl: `#!/bin/sh
number=$(($(cat "$HERE/number") + 1)); echo $number > "$HERE/number"
[ -f "$HERE/answer-$number" ] || { : > "$HERE/over"; exit 7; }
for word in "$@"; do case $word in If-None-Match*) echo "$word" >> "$HERE/log" ;; esac; done
[ $number = 4 ] && exit 7
cat "$HERE/answer-$number" > "$HERE/netpilot.head"
cat "$HERE/status-$number"`,
  nft: '#!/bin/sh\necho nft >> "$HERE/log"',
  sleep: '#!/bin/sh\n[ -f "$HERE/over" ] && kill $PPID || echo sleep $1 >> "$HERE/log"',
}

it('keeps the table and sleeps as long as the server says', async () => {
  const here = await mkdtemp(join(tmpdir(), 'netpilot-loop-'))
  onTestFinished(() => rm(here, { recursive: true, force: true }))
  const write = (name: string, text: string) => writeFile(join(here, name), text)
  for (const [name, text] of Object.entries(COMMANDS)) {
    await write(name, text)
    await chmod(join(here, name), 0o755)
  }
  await Promise.all([write('number', '0'), write('key', 'npa_…'), write('log', '')])
  for (const [index, [status, head]] of ANSWERS.entries()) {
    await write(`status-${index + 1}`, status)
    await write(`answer-${index + 1}`, head)
  }
  const [, loop = ''] = /^```sh\n(while :; do\n.*?^done\n)```$/ms.exec(await readFile(AGENTS, 'utf8')) ?? []
  const script = loop.replaceAll('/tmp/', `${here}/`).replaceAll('/etc/netpilot.key', join(here, 'key'))
  await promisify(execFile)('sh', ['-c', script], {
    env: { PATH: `${here}:${process.env.PATH}`, HERE: here },
    timeout: 15_000,
  }).catch(() => {})

  const log = (await readFile(join(here, 'log'), 'utf8')).trim().split('\n')
  const what = log.map((line) => (line.startsWith('sleep') ? 'sleep' : line.replace('If-None-Match: ', '')))
  const first = '"first"'
  expect(what).toEqual([
    ...['', 'nft', first, first, 'sleep', first, 'sleep', first, 'sleep', first, 'sleep', first, 'nft'],
    '"second"',
  ])
  const [inactive = 0, ...others] = log.flatMap((line) => /^sleep (\d+)$/.exec(line)?.[1] ?? []).map(Number)
  expect(inactive).toBeGreaterThanOrEqual(3_600)
  for (const seconds of others) expect([seconds >= 10, seconds < 40]).toEqual([true, true])
})

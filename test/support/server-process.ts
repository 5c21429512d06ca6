/** `node src/server.ts`, as an operator starts it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const root = join(import.meta.dirname, '../..')

export type Running = {
  child: ChildProcess
  url: string /** What it printed, on both channels. */
  output: string[]
}

/** Starts servers, and ends those that still run. */
export function serverProcesses() {
  const running = new Set<ChildProcess>()

  /**
   * Starts the server on a free port and resolves when it reports that it runs. @throws Error with its output
   * when it does not
   */
  async function start(env: Record<string, string>): Promise<Running> {
    const settings = { PORT: '0', HOST: '127.0.0.1', BCRYPT_COST: '4', SHUTDOWN_NOTICE_MS: '50', ...env }
    const child = spawn(process.execPath, ['src/server.ts'], {
      cwd: root,
      env: { PATH: process.env.PATH, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    child.once('exit', () => running.delete(child))
    const output: string[] = []
    const lines = createInterface(child.stdout)
    child.stderr.on('data', (chunk) => output.push(String(chunk)))
    for await (const line of lines) {
      output.push(line)
      const [, url] = /try it +(http:\S+)\/docs/.exec(line) ?? []
      if (url) {
        child.stdout.on('data', (chunk) => output.push(String(chunk)))
        return { child, url, output }
      }
    }
    throw new Error(`the server did not start:\n${output.join('\n')}`)
  }

  const killAll = () => {
    for (const child of running) child.kill('SIGKILL')
  }
  return { start, killAll }
}

import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { ENVIRONMENT } from './binaries.ts'
import type { SystemAccount } from './home.ts'

/**
 * A shell between us and PostgreSQL. Its standard input is our pipe, which never carries data, so the shell
 * notices when our process ends, for any reason. It then sends PostgreSQL SIGINT, a fast shutdown,
 * repeatedly, because a program that has just started may not handle it yet. After a while it sends SIGQUIT,
 * an immediate shutdown, because PostgreSQL 18 does not end while it recovers from a full disk. The shell
 * itself ignores signals, so it survives a `kill` of everything around it. The shell opens the log, because
 * it runs as the log's owner; root never opens a file in another user's directory.
 */
const GUARD = `
  trap '' HUP INT TERM
  umask 077
  log=$1
  patience=$2
  shift 2
  [ ! -f "$log" ] || mv -f "$log" "$log.1"
  exec 3<&0 >"$log" 2>&1
  "$@" </dev/null 3<&- &
  child=$!
  { read -r _; signal=INT; while kill -$signal $child; do sleep 0.1; patience=$((patience - 1)); [ $patience -gt 0 ] || signal=QUIT; done; } <&3 2>/dev/null &
  watch=$!
  exec </dev/null 3<&-
  wait $child
  status=$?
  kill -KILL $watch
  exit $status
`

/** How long a fast shutdown may take, tenths of a second. */
const PATIENCE = 300

export type Guarded = {
  /** Resolves with the exit status when the program has ended. */
  exited: Promise<number | null>
  /** Asks the program to end. */
  end(): void
  /** Lets this process end without waiting for the program, which then ends too. */
  unref(): void
}

/**
 * Runs a program that ends when this process ends. It has its own process group, so that Ctrl-C in a terminal
 * reaches only us. Its working directory is the root directory, because it may have no access to ours.
 */
export function runGuarded(
  command: string[],
  log: string,
  account?: SystemAccount,
  patience = PATIENCE,
): Guarded {
  const child = spawn('/bin/sh', ['-c', GUARD, 'sh', log, String(patience), ...command], {
    ...account,
    cwd: '/',
    env: ENVIRONMENT,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const exited = new Promise<number | null>((resolve, reject) =>
    child.once('exit', resolve).once('error', reject),
  )
  const end = () => {
    child.ref()
    child.stdin.destroy()
  }
  const unref = () => {
    child.unref()
    ;(child.stdin as Socket).unref()
  }
  return { exited, end, unref }
}

/**
 * The last lines of a log, for an error message. PostgreSQL never writes passwords there: it gets them in a
 * file or as verifiers.
 */
export async function endOfLog(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch((error: Error) => error.message)
  return text.trimEnd().split('\n').slice(-10).join('\n')
}

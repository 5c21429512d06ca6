import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { ENVIRONMENT } from './binaries.ts'
import type { SystemAccount } from './home.ts'

/**
 * A shell between us and PostgreSQL, whose standard input is our pipe and never receives anything: it ends
 * when we do, by whatever death, and then PostgreSQL gets SIGINT, a fast shutdown; repeatedly, as a program
 * that has only just started may not listen yet; and after a while SIGQUIT, an immediate one, as PostgreSQL
 * 18 does not end when it was recovering from a full disk. The shell itself ignores signals, so that it
 * outlives a `kill` of everything around it. Opening the log is left to it because it runs as the log's
 * owner; root never opens a file in a directory of somebody else's.
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
  /** Resolves with the exit status when the program has gone. */
  exited: Promise<number | null>
  /** Asks the program to end. */
  end(): void
  /** Lets this process end without waiting for the program, which then ends too. */
  unref(): void
}

/**
 * Runs a program that ends when this process ends. It has its own process group, so that Ctrl-C in a terminal
 * reaches only us, and the root directory as its working directory, because ours may be out of its reach.
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
 * The last lines of a log, for an error message. PostgreSQL never writes passwords there: they reach it in a
 * file or as verifiers.
 */
export async function endOfLog(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch((error: Error) => error.message)
  return text.trimEnd().split('\n').slice(-10).join('\n')
}

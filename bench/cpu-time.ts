/** CPU time of other processes, as Linux counts it (proc(5)). */
import { readFileSync } from 'node:fs'

/** USER_HZ, which is 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/**
 * Starts the count. @returns a function that gives the seconds of CPU time that these processes have used
 * since; it leaves out a process that has ended. NaN where there is no /proc.
 */
export function countCpu(pids: number[]): () => number {
  const isCounted = ticksOf(process.pid) !== undefined
  const before = new Map(pids.map((pid) => [pid, ticksOf(pid) ?? 0]))
  return () => {
    const used = [...before].map(([pid, ticks]) => Math.max((ticksOf(pid) ?? 0) - ticks, 0))
    return isCounted ? used.reduce((sum, ticks) => sum + ticks, 0) / TICKS_PER_SECOND : Number.NaN
  }
}

function ticksOf(pid: number): number | undefined {
  try {
    // The second field, in parentheses, may hold anything; utime and stime are the 12th and 13th after it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return Number(fields[11]) + Number(fields[12])
  } catch {
    return undefined
  }
}

import { chmodSync, truncateSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { StartRefused } from '../start-refused.ts'

/**
 * https://sqlite.org/rescode.html
 */
const SQLITE_BUSY = 5
const SQLITE_NOTADB = 26

/**
 * Takes the exclusive lock on a file, or returns `undefined` at once when this or another process has it.
 * Node has no flock, so this uses SQLite's exclusive transaction. The kernel keeps the lock for the process
 * and releases it when the process dies, for any reason. It cannot become stale as a file with a pid in it
 * can. This function never writes data to the file, and removes what another program wrote there.
 * @throws Error when the file cannot be opened
 */
export function tryLock(path: string): (() => void) | undefined {
  const file = open(path)
  try {
    file.exec('pragma journal_mode = memory; begin exclusive')
    return () => file.isOpen && file.close()
  } catch (error) {
    file.close()
    const { errcode } = error as { errcode?: number }
    if (errcode === SQLITE_BUSY) return undefined
    if (errcode === SQLITE_NOTADB) {
      truncateSync(path)
      return tryLock(path)
    }
    throw cannotLock(path, error)
  }
}

function open(path: string): DatabaseSync {
  try {
    const file = new DatabaseSync(path, { timeout: 0 })
    chmodSync(path, 0o600)
    return file
  } catch (error) {
    throw cannotLock(path, error)
  }
}

const cannotLock = (path: string, cause: unknown) =>
  new StartRefused(
    `${path} cannot be locked (${(cause as Error).message}). Does it, or its folder, belong to another user, or is it read-only? Start as that user, or set DATA_DIR to another folder.`,
    { cause },
  )

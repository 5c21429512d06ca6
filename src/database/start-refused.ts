/** The reason why a start must stop, in words for the person at the terminal: printed without a stack. */
export class StartRefused extends Error {}

/** What is wrong with a file or folder, and what to do, by the system's code. */
const FILE_FAULTS: Record<string, string> = {
  EACCES:
    'this user may not. Give it to this user (chown), start as the user that it belongs to, or set DATA_DIR to another folder.',
  EPERM:
    'this user may not. Give it to this user (chown), start as the user that it belongs to, or set DATA_DIR to another folder.',
  EROFS: 'it can only be read there. Set DATA_DIR to a folder that can be written.',
  EEXIST: 'there is a file where a folder is needed. Move it away, or set DATA_DIR to another folder.',
  ENOTDIR: 'there is a file where a folder is needed. Move it away, or set DATA_DIR to another folder.',
  ENOSPC: 'the disk is full. Make room there, or set DATA_DIR to a folder on another disk.',
  EDQUOT: 'the disk is full. Make room there, or set DATA_DIR to a folder on another disk.',
}
/** What is wrong with HOST or PORT. */
const LISTEN_FAULTS: Record<string, string> = {
  EADDRINUSE: 'Another program listens there: stop it, or set PORT.',
  EACCES: 'Ports below 1024 are for root: set PORT to a higher one, with a proxy in front of it.',
  EADDRNOTAVAIL: 'HOST is no address of this machine: set it to one, or leave it out for all of them.',
  ENOTFOUND:
    'HOST is no name that this machine knows: set it to an address, or leave it out for all of them.',
}

/** Explains a system error and what to do; undefined for any other error, whose stack may help. */
export function explainSystemError({
  code = '',
  syscall,
  path,
  message,
}: NodeJS.ErrnoException): string | undefined {
  if (path !== undefined && FILE_FAULTS[code])
    return `${path} cannot be used (${syscall}, ${code}): ${FILE_FAULTS[code]}`
  if (LISTEN_FAULTS[code]) return `${message}. ${LISTEN_FAULTS[code]}`
  return undefined
}

/** Converts uuids between text and bytes. */

/** The only accepted text form: lower case, with hyphens (RFC 9562, section 4), any version. */
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/

export const isUuid = (value: unknown): value is string => typeof value === 'string' && UUID.test(value)

/** The 16 bytes of a uuid. @throws TypeError when `uuid` is no uuid or not in lower case */
export function uuidToBytes(uuid: string): Buffer {
  if (!isUuid(uuid)) throw new TypeError('A lower-case uuid is needed')
  return Buffer.from(uuid.replaceAll('-', ''), 'hex')
}

export const bytesToUuid = (bytes: Buffer): string =>
  bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')

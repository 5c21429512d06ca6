/**
 * Whether this runtime's IANA time zone database knows the name (`Europe/Berlin`, `UTC`). Offsets such as
 * `+02:00` are refused.
 */
export function isTimeZone(name: string): boolean {
  if (/^[+-]/.test(name)) return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined
  } catch {
    return false
  }
}

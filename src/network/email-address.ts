/** Parses e-mail addresses that are valid in a header and in an SMTP command. */

/**
 * `name` may be empty.
 */
export type Mailbox = { name: string; address: string }

// RFC 5322 3.2.3 (dot-atom) with RFC 6532's letters of all scripts. A quoted local part ("a,b"@example.com)
// is legal, but not used in practice.
const ATOM = "[\\p{L}\\p{M}\\p{N}!#$%&'*+/=?^_`{|}~-]+"
const ALPHANUMERIC = '[\\p{L}\\p{M}\\p{N}]+'
/** No hyphen at either end (RFC 1123, 2.1). */
export const LABEL = `${ALPHANUMERIC}(?:-+${ALPHANUMERIC})*`

/** A text matches in at most one way, so that the regular expression needs linear time. */
export const ADDRESS = `${ATOM}(?:\\.${ATOM})*@${LABEL}(?:\\.${LABEL})*`
const WHOLE_ADDRESS = new RegExp(`^${ADDRESS}$`, 'u')
const NAMED = /^(?:"(?<quoted>[^"<>\p{C}]+)"|(?<bare>[^"<>,;:@\p{C}]+?))? *<(?<address>[^<>]+)>$/u

/** Exactly one address for a mail: no list, no comment, no line break. */
export const isAddress = (text: string): boolean => text.length <= 254 && WHOLE_ADDRESS.test(text)

/** Reads `ada@example.com` or `Ada Lovelace <ada@example.com>`; undefined for anything else. */
export function readMailbox(text: string): Mailbox | undefined {
  const { quoted, bare = '', address = text } = NAMED.exec(text)?.groups ?? {}
  return isAddress(address) ? { name: (quoted ?? bare).trim(), address } : undefined
}

/** The normalised spelling of an address. */
export const normalisedEmail = (email: string) => email.trim().toLowerCase()

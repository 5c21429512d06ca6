/** Reads a mail as a mail program does. */

/** Header names in lower case, each with its values; `text` and `html` decoded. */
export type ReadMail = { headers: Map<string, string[]>; subject: string; text: string; html: string }

/** @param raw a message whose lines end in CRLF or LF */
export function readMail(raw: string): ReadMail {
  const { headers, body } = split(raw.replaceAll('\r\n', '\n'))
  const boundary = /boundary="(.+)"/.exec(headers.get('content-type')?.[0] ?? '')?.[1] ?? ''
  // The line breaks before and after a boundary belong to the boundary.
  const parts = body
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => split(part.slice(1, -1)))
  const part = (type: string) => {
    const found = parts.find((each) => each.headers.get('content-type')?.[0]?.startsWith(type))
    return found ? decode(found.body, found.headers.get('content-transfer-encoding')?.[0]) : ''
  }
  return {
    headers,
    subject: words(headers.get('subject')?.[0] ?? ''),
    text: part('text/plain'),
    html: part('text/html'),
  }
}

/** The single-use token of a mail, in a link or alone. */
export const tokenIn = ({ text }: Pick<ReadMail, 'text'>): string | undefined =>
  /npt_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}/.exec(text)?.[0]

function split(text: string) {
  const end = text.indexOf('\n\n')
  const headers = new Map<string, string[]>()
  for (const line of text
    .slice(0, end)
    .replaceAll(/\n[ \t]+/g, ' ')
    .split('\n')) {
    const [, name = '', value = ''] = /^([^:]*): ?(.*)$/.exec(line) ?? []
    headers.set(name.toLowerCase(), [...(headers.get(name.toLowerCase()) ?? []), value])
  }
  return { headers, body: text.slice(end + 2) }
}

function decode(body: string, encoding: string | undefined): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString()
  return encoding === 'quoted-printable' ? bytes(body.replaceAll('=\n', '')) : body
}

/** RFC 2047. */
const words = (text: string) =>
  text
    .replaceAll(/\?= +=\?/g, '?==?')
    .replaceAll(/=\?UTF-8\?([QB])\?(.*?)\?=/gi, (_all, form, word) =>
      form.toUpperCase() === 'B' ? Buffer.from(word, 'base64').toString() : bytes(word.replaceAll('_', ' ')),
    )

const bytes = (text: string) =>
  Buffer.from(
    text.replaceAll(/=([0-9A-F]{2})/g, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString()

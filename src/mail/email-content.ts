/** A mail is written once, as a list of blocks, and rendered as plain text and HTML: both say the same. */

/** The content of a mail; the mailer knows the recipient. A log may name only its `kind`. */
export type EmailContent = { kind: string; subject: string; text: string; html: string }

/**
 * A paragraph; a link with its words; a secret to copy; or facts, each with its name. Nothing in a block can
 * break out of it: line breaks and control characters in user input become spaces.
 */
export type Block =
  | string
  | { link: string; words: string }
  | { secret: string }
  | { facts: Record<string, string> }

const WIDTH = 72
const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const oneLine = (text: string) => text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Z}]+/gu, ' ').trim()
const escaped = (text: string) =>
  oneLine(text).replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character)
/** Breaks lines between words only: a link or an address stays whole. */
const wrapped = (text: string) => text.replaceAll(new RegExp(`(.{1,${WIDTH}})(?: |$)`, 'g'), '$1\n').trimEnd()

export function renderEmail(kind: string, title: string, blocks: Block[]): EmailContent {
  const subject = `NetPilot: ${title}`
  const all = [...blocks, 'NetPilot sent this mail by itself; answers to it are not read.']
  return {
    kind,
    subject,
    text: `${all.map(asText).join('\n\n')}\n`,
    html: asPage(subject, all.map(asHtml).join('\n')),
  }
}

function asText(block: Block): string {
  if (typeof block === 'string') return wrapped(oneLine(block))
  if ('link' in block) return `${oneLine(block.words)}:\n${oneLine(block.link)}`
  if ('secret' in block) return oneLine(block.secret)
  return Object.entries(block.facts)
    .map(([name, value]) => `${name}: ${oneLine(value)}`)
    .join('\n')
}

function asHtml(block: Block): string {
  if (typeof block === 'string') return `<p>${escaped(block)}</p>`
  // The text shows the address too: people who cannot follow a link copy it, and careful people read it
  // first.
  if ('link' in block)
    return `<p>${escaped(block.words)}:<br><a href="${escaped(block.link)}">${escaped(block.link)}</a></p>`
  if ('secret' in block) return `<p><code>${escaped(block.secret)}</code></p>`
  const facts = Object.entries(block.facts).map(([name, value]) => `${escaped(name)}: ${escaped(value)}`)
  return `<p>${facts.join('<br>')}</p>`
}

const asPage = (title: string, body: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
</head>
<body style="font-family: sans-serif; line-height: 1.5; max-width: 40em; overflow-wrap: anywhere">
${body}
</body>
</html>
`

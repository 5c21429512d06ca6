import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'

type Terminal = { stdin: NodeJS.ReadableStream & { isTTY?: boolean }; stdout: NodeJS.WritableStream }

/** Returns whether the person at the terminal answers yes. Without a terminal the answer is no. */
export async function confirm(question: string, { stdin, stdout }: Terminal): Promise<boolean> {
  if (!stdin.isTTY) return false
  const terminal = createInterface({ input: stdin, output: stdout })
  try {
    // Ctrl-C and Ctrl-D close the prompt without an answer.
    const [answer] = await Promise.race([
      terminal.question(`${question} [y/N] `).then((line) => [line]),
      once(terminal, 'close'),
    ])
    return /^y(es)?$/i.test((answer ?? '').trim())
  } finally {
    terminal.close()
  }
}

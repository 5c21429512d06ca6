import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'

type Terminal = { stdin: NodeJS.ReadableStream & { isTTY?: boolean }; stdout: NodeJS.WritableStream }

/** Whether the person at the terminal says yes; where there is no terminal, nobody does. */
export async function confirm(question: string, { stdin, stdout }: Terminal): Promise<boolean> {
  if (!stdin.isTTY) return false
  const terminal = createInterface({ input: stdin, output: stdout })
  try {
    // Ctrl-C and Ctrl-D close it without an answer.
    const [answer] = await Promise.race([
      terminal.question(`${question} [y/N] `).then((line) => [line]),
      once(terminal, 'close'),
    ])
    return /^y(es)?$/i.test((answer ?? '').trim())
  } finally {
    terminal.close()
  }
}

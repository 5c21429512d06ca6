import { createInterface } from 'node:readline/promises'

type Terminal = { stdin: NodeJS.ReadableStream & { isTTY?: boolean }; stdout: NodeJS.WritableStream }

/** Whether the person at the terminal says yes; where there is no terminal, nobody does. */
export async function confirm(question: string, { stdin, stdout }: Terminal): Promise<boolean> {
  if (!stdin.isTTY) return false
  const terminal = createInterface({ input: stdin, output: stdout })
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim())
  } finally {
    terminal.close()
  }
}

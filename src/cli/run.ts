import { explainSystemError } from '../database/start-refused.ts'

/**
 * Runs a command. Its result goes to standard output; a failure is one line on standard error and exit code
 * 1.
 */
export function run(command: (print: (line: string) => void) => Promise<void>): void {
  command((line) => process.stdout.write(`${line}\n`)).catch((error: Error) => {
    process.stderr.write(`${explainSystemError(error) ?? error.message}\n`)
    process.exitCode = 1
  })
}

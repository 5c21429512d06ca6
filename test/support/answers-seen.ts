/**
 * After all of `npm test`, lists the answers that the API document names and no test saw. An answer without a
 * reason below fails the run, and so does a reason that is no longer needed.
 */
import type { TestProject } from 'vitest/node'

/** Why no test needs to see these answers, by the end of their names. */
const REASONS: Record<string, string> = {
  '429 rate-limited': 'one hook for each group of operations: rate-limits.test.ts asks one of each group',
  '503 unavailable':
    'one error handler for all: failures.test.ts, and outage.slow.test.ts stops the database',
  '413 too-large': 'one parser for all: http-edge.test.ts asks it of every kind of body',
  '403 cross-site': 'one hook for all that sign in: refresh-cookie.test.ts',
  '403 insufficient-scope':
    'one transaction for all keys: agent-authentication.test.ts and personal-keys.test.ts',
  '403 email-unverified': 'one function completes every sign-in: email.test.ts',
  '403 wrong-code': 'one function takes every proof of the owner: key-proofs.test.ts',
  '429 locked-out': 'one function takes every proof of the owner: lockout.test.ts',
  '409 conflict': 'a code of the second factor as proof, and an account without one: second-factor.test.ts',
  '409 key-limit': 'one function counts live keys: personal-keys.test.ts asks it of adding one',
}

export default (project: TestProject) => () => {
  const modules = project.vitest.state.getTestModules().filter((each) => each.project.name === project.name)
  const tests = modules.flatMap((module) => [...module.children.allTests()])
  const { filenamePattern } = project.vitest as { filenamePattern?: string[] }
  // Only a complete run without failures can tell, and only the files that request every operation count.
  const isWhole = !filenamePattern && tests.every((test) => test.result().state === 'passed')
  if (!isWhole || !modules.some(({ moduleId }) => moduleId.endsWith('openapi.test.ts'))) return
  const metas = tests.map((test) => test.meta())
  const seen = new Set(metas.flatMap(({ answers = [] }) => answers))
  const documented = new Set(metas.flatMap(({ documented = [] }) => documented))
  const unseen = [...documented].filter((answer) => !seen.has(answer))
  const lines = Object.entries(REASONS).map(([answer, why]) => ({
    why: `${answer}: ${why}`,
    count: unseen.filter((each) => each.endsWith(` ${answer}`)).length,
  }))
  process.stdout.write(
    `\nOf ${documented.size} answers in the API document, the tests saw ${documented.size - unseen.length}. Not:\n` +
      lines.map(({ why, count }) => `  ${count} × ${why}\n`).join(''),
  )
  const missing = unseen.filter((each) => !Object.keys(REASONS).some((answer) => each.endsWith(` ${answer}`)))
  const needless = lines.filter(({ count }) => count === 0).map(({ why }) => why)
  if (missing.length > 0 || needless.length > 0)
    throw new Error(
      `No test saw: ${missing.join(', ') || 'nothing'}. No longer needed as a reason: ${needless.join(', ') || 'none'}.`,
    )
}

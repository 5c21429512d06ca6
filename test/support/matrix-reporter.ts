/** Prints after the run what the isolation tests tried. */
import type { Reporter } from 'vitest/node'
import { OPEN } from './attack/expected-access.ts'
import { printed } from './matrix.ts'

const LEGEND =
  'n: tried so often, and turned away; n*: with some that are open by design; n!: leaked so often.'

export const matrixReporter: Reporter = {
  onTestRunEnd(modules) {
    const matrices = modules.flatMap((module) =>
      [...module.children.allTests()].flatMap((test) => test.meta().matrices ?? []),
    )
    const reasons = Map.groupBy(Object.entries(OPEN), ([, why]) => why)
    const open = [...reasons].map(
      ([why, powers]) => `  ${why}:\n    ${powers.map(([power]) => power).join(', ')}`,
    )
    process.stdout.write(`\n${LEGEND}\n\n${printed(matrices)}\n\nOpen by design:\n${open.join('\n')}\n\n`)
  },
}

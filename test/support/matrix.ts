/**
 * What a test tried, with the results. A test that tries many things leaves its matrices in
 * `task.meta.matrices` and is named in `vitest.isolation.config.ts`; `npm run verify:isolation` prints them.
 */

export type Trial = {
  matrix: string
  row: string
  column: string
  /**
   * What the attacker was able to do, as `attack/expected-access.ts` names it; undefined when the database
   * refused the attack.
   */
  power: string | undefined
  /** All details, for a report of a leak. */
  detail: string
}
/** Counts; the `open` ones are intended and justified. */
export type Cell = { row: string; column: string; tried: number; open: number; leaked: number }
export type Matrix = { title: string; cells: Cell[] }

declare module 'vitest' {
  interface TaskMeta {
    matrices?: Matrix[]
  }
}

/** The powers that attacks showed and that are not intended, each with an attack that showed it. */
export const leaksOf = (trials: Trial[], open: Record<string, string>): string[] =>
  trials
    .filter(({ power }) => power !== undefined && !(power in open))
    .map(({ power, detail }) => `${power}: ${detail}`)

/** The powers that attacks showed, intended or not. */
export const powersOf = (trials: Trial[]): string[] =>
  [...new Set(trials.flatMap(({ power }) => power ?? []))].sort()

export function toMatrices(trials: Trial[], open: Record<string, string>): Matrix[] {
  return [...Map.groupBy(trials, ({ matrix }) => matrix)].map(([title, ofMatrix]) => ({
    title,
    cells: [...Map.groupBy(ofMatrix, ({ row, column }) => `${row}\0${column}`).values()].map((ofCell) => {
      const [{ row, column } = { row: '', column: '' }] = ofCell
      const shown = ofCell.filter(({ power }) => power !== undefined)
      const meant = shown.filter(({ power = '' }) => power in open).length
      return { row, column, tried: ofCell.length, open: meant, leaked: shown.length - meant }
    }),
  }))
}

const total = (cells: Cell[], figure: 'tried' | 'open' | 'leaked') =>
  cells.reduce((sum, cell) => sum + cell[figure], 0)
const figures = (cells: Cell[]) =>
  `${total(cells, 'tried')} tried, ${total(cells, 'open')} open by design, ${total(cells, 'leaked')} leaked`
/**
 * A blank was not tried; a number was tried and refused; `n*` includes what is open by design; `n!` leaked.
 */
const show = (cells: Cell[]) =>
  cells.length === 0
    ? ''
    : total(cells, 'leaked') > 0
      ? `${total(cells, 'leaked')}!`
      : `${total(cells, 'tried')}${total(cells, 'open') > 0 ? '*' : ' '}`

/** The matrices as text. Matrices with the same title are printed as one, and all figures come at the end. */
export function printed(matrices: Matrix[]): string {
  const together = [...Map.groupBy(matrices, ({ title }) => title)].map(([title, parts]) => ({
    title,
    cells: parts.flatMap(({ cells }) => cells),
  }))
  const tables = together.map(({ title, cells }) => {
    const rows = [...new Set(cells.map(({ row }) => row))]
    const columns = [...new Set(cells.map(({ column }) => column))]
    const cellAt = (row: string, column: string) =>
      show(cells.filter((cell) => cell.row === row && cell.column === column))
    const margin = Math.max(...rows.map((row) => row.length))
    const widths = columns.map(
      (column) => Math.max(column.length, ...rows.map((row) => cellAt(row, column).length)) + 2,
    )
    const line = (first: string, textOf: (column: string) => string) =>
      [first.padEnd(margin), ...columns.map((column, index) => textOf(column).padStart(widths[index] ?? 0))]
        .join('')
        .trimEnd()
    const body = rows.map((row) => line(row, (column) => cellAt(row, column)))
    return [`${title}: ${figures(cells)}`, line('', (column) => `${column} `), ...body].join('\n')
  })
  return [...tables, `In all: ${figures(together.flatMap(({ cells }) => cells))}.`].join('\n\n')
}

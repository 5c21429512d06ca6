/**
 * Pages of lists by `limit` and `offset`. One statement shows and counts, so that both are of one moment and a
 * search is made once.
 */
type Page = { limit: number; offset: number }

/** Among the columns of a list: how many rows there are on all its pages. */
export const TOTAL = 'count(*) over ()::int as total'

/** @param find the rows of a page, each with the total */
export async function findPage<Row>(
  { limit, offset }: Page,
  find: (page: Page) => PromiseLike<(Row & { total: number })[]>,
): Promise<{ items: Row[]; total: number } & Page> {
  const items = await find({ limit, offset })
  // A page past the end has no row to carry the total.
  const [first] = items.length === 0 && offset > 0 ? await find({ limit: 1, offset: 0 }) : items
  return { items, total: first?.total ?? 0, limit, offset }
}

/**
 * The statements of a list, one constant text for each value of `sort`, since a column cannot be a parameter.
 * @param name of the list @param columns what each field sorts by
 */
export function statementsBySort<Field extends string>(
  name: string,
  columns: Record<Field, string>,
  textOf: (order: string) => string,
): Record<Field | `-${Field}`, { name: string; text: string }> {
  const statement = (sort: string, order: string) => [
    sort,
    { name: `${name} by ${sort}`, text: textOf(`${order} nulls last`) },
  ]
  return Object.fromEntries(
    Object.entries<string>(columns).flatMap(([field, column]) => [
      statement(field, `${column} asc`),
      statement(`-${field}`, `${column} desc`),
    ]),
  )
}

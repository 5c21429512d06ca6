/**
 * Pages of lists by `limit` and `offset`. One statement returns rows and count, so that both are from the
 * same moment and the search runs once.
 */
type Page = { limit: number; offset: number }

/** A column of the list: the number of rows on all pages. */
export const TOTAL = 'count(*) over ()::int as total'

/** @param find the rows of a page, each with the total */
export async function findPage<Row>(
  { limit, offset }: Page,
  find: (page: Page) => PromiseLike<(Row & { total: number })[]>,
): Promise<{ items: Row[]; total: number } & Page> {
  const items = await find({ limit, offset })
  // A page past the end has no row that contains the total.
  const [first] = items.length === 0 && offset > 0 ? await find({ limit: 1, offset: 0 }) : items
  return { items, total: first?.total ?? 0, limit, offset }
}

/**
 * The statements of a list, one constant SQL text for each value of `sort`, because a column cannot be a
 * parameter.
 * @param name of the list @param columns the column for each sort field
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

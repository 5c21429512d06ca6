/**
 * Cursors for lists that grow at their beginning. A cursor is the end of a page as text. The next page begins
 * after it, so that new rows shift nothing. A forged cursor can only name another position in the same list.
 */
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { Nullable } from '../../http/schemas.ts'

/** Query parameters: the page size, and the cursor of the previous page. */
export const cursorFields = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
  cursor: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9_-]{1,200}$',
      'x-expects': 'a cursor of this list',
      description: 'The `nextCursor` of the page before',
    }),
  ),
}

export const NextCursor = Nullable(
  Type.String({ description: 'The `cursor` of the next page; null on the last page', examples: [null] }),
)

/**
 * @param form of the position, with a named group for each part
 * @returns undefined when there is no cursor
 * @throws Problem `invalid-request` for a text that is no cursor of this form
 */
export function readCursor<Position>(cursor: string | undefined, form: RegExp): Position | undefined {
  if (cursor === undefined) return undefined
  const position = form.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.groups
  if (!position)
    throw problem('invalid-request', {
      errors: [
        { path: '/querystring/cursor', code: 'wrong-format', message: 'is not a cursor of this list' },
      ],
    })
  return position as Position
}

/**
 * @param found `limit` + 1 rows when there are more
 * @param positionOf the parts of a position, as `form` has them
 */
export function pageAfter<Row>(found: Row[], limit: number, positionOf: (last: Row) => (string | number)[]) {
  const items = found.slice(0, limit)
  const last = found.length > limit ? items.at(-1) : undefined
  return { items, nextCursor: last ? Buffer.from(positionOf(last).join('.')).toString('base64url') : null }
}

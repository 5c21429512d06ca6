/**
 * What a session's work gets instead of the connection: it takes statements that read or change rows and
 * nothing else, works only while the session lasts, and condemns the connection after an error that leaves it
 * in doubt.
 */
import pg from 'pg'

/**
 * A statement whose text is a constant of the source; `name` must be unique to that text. With
 * `noPreparedPlan` it is planned for its values each time: for statements with long arrays or many rows,
 * which a plan made without knowing them runs n² ways.
 */
export type StaticQuery = { name: string; text: string; values?: unknown[]; noPreparedPlan?: boolean }

export type Facade = {
  /** For drizzle, which needs no more of a client than `query`. */
  client: pg.Client
  query<Row>(query: StaticQuery): Promise<Row[]>
  /**
   * Ends the session for the work. @throws when a query was sent and not awaited: its outcome would be
   * nobody's
   */
  close(): void
  /** Ends the session for the work, whatever is in flight. */
  abandon(): void
}

const ROW_STATEMENT = /^\s*(select|insert|update|delete|with|merge|values)\b/i

type FacadeOptions = {
  /** Begins the names of named statements: a name that two roles share is planned anew at each switch. */
  prefix: string
  namedStatements: boolean
  markBroken: (error: Error) => void
}

export function createGuardedClient(
  client: pg.PoolClient,
  { prefix, namedStatements, markBroken }: FacadeOptions,
): Facade {
  let isOver = false
  let pending = 0

  const send = async (config: pg.QueryConfig, values?: unknown[]): Promise<pg.QueryResult> => {
    if (isOver) throw new Error('the session is over')
    if (!ROW_STATEMENT.test(config.text))
      throw new Error('a session takes only statements that read or change rows')
    pending += 1
    try {
      return await client.query(config, values)
    } catch (error) {
      // Not the database's answer (a value that cannot be sent, a dead connection), or a named statement it
      // does not have: pg would go on believing in statements that were never parsed.
      if (!(error instanceof pg.DatabaseError) || error.code === '26000') markBroken(error as Error)
      throw error
    } finally {
      pending -= 1
    }
  }

  return {
    client: { query: send } as unknown as pg.Client,
    query: async <Row>({ name, text, values, noPreparedPlan = false }: StaticQuery) =>
      (await send({ text, ...(namedStatements && !noPreparedPlan && { name: `${prefix} ${name}` }) }, values))
        .rows as Row[],
    close: () => {
      isOver = true
      if (pending > 0) throw new Error('a query was still under way when its session ended')
    },
    abandon: () => {
      isOver = true
    },
  }
}

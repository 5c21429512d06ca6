/**
 * The guarded client, which a transaction's callback gets instead of the connection. It accepts only
 * statements that read or change rows, and only until the transaction ends. After an error that leaves the
 * connection's state uncertain, it marks the connection as broken.
 */
import pg from 'pg'

/**
 * A statement whose text is a constant of the source; `name` must be unique to that text. With
 * `noPreparedPlan`, PostgreSQL plans it for its values each time. Statements with long arrays or many rows
 * need this: a plan made without their values runs in n² time.
 */
export type StaticQuery = { name: string; text: string; values?: unknown[]; noPreparedPlan?: boolean }

export type Facade = {
  /** For drizzle, which needs only the `query` method of a client. */
  client: pg.Client
  query<Row>(query: StaticQuery): Promise<Row[]>
  /**
   * Refuses further queries of the callback. @throws when a query was sent and not awaited, because nothing
   * would read its result
   */
  close(): void
  /** Refuses further queries of the callback, even if some are in flight. */
  abandon(): void
}

const ROW_STATEMENT = /^\s*(select|insert|update|delete|with|merge|values)\b/i

type FacadeOptions = {
  /** The prefix of statement names. PostgreSQL would plan a name that two roles share anew at each switch. */
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
      // The error does not come from the database (a value that cannot be sent, a dead connection), or the
      // database does not know the named statement. pg would still count statements as parsed that never
      // were.
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

/**
 * Whether the seal on the identity works: its functions match the migrations, and the database refuses a
 * forged identity.
 */
import pg from 'pg'
import type { Migration } from '../migrations/runner.ts'
import { withPrefix } from '../role-names.ts'
import type { CatalogueCheck } from './check.ts'

/**
 * Each definition in the migrations, of which the last counts: its name, and the text between the dollars.
 */
const DEFINITION = /create (?:or replace )?function (ctx\.\w+)\(.*?\bas \$\$(.*?)\$\$;/gs

/**
 * A function's body can undo everything that its flags promise, so each body is compared with the one in the
 * migrations.
 */
export const functionBodies = (migrations: Pick<Migration, 'up'>[]): CatalogueCheck => ({
  promise: 'has identity functions whose bodies are those of the migrations',
  remedy:
    'CREATE OR REPLACE each as its last definition in drizzle/*.sql has it, as the context role (which the migrator may become).',
  check: async (client, roles) => {
    const prefix = roles.owner.slice(0, -'owner'.length)
    const definitions = migrations.flatMap(({ up }) => [...withPrefix(up, prefix).matchAll(DEFINITION)])
    const meant = new Map(definitions.map(([, name, body]) => [name, body]))
    const { rows } = await client.query<{ name: string; body: string }>(
      `select concat('ctx.', proname) as name, prosrc as body from pg_proc where pronamespace = 'ctx'::regnamespace`,
    )
    const edited = rows.filter(({ name, body }) => meant.get(name) !== body)
    return {
      lookedAt: rows.length,
      findings: edited.map(({ name }) => ({ what: `not meant: the body of ${name}`, isWarning: false })),
    }
  },
})

/** kind|user|role|router|scopes|proof|at|mac, as drizzle/0003_seal.sql has it. No person has this id. */
const FORGED = `user|00000000-0000-4000-8000-000000000000|user|||00000000-0000-4000-8000-000000000000|0|${'0'.repeat(64)}`

/**
 * Tries what an injected statement would try, within the client's transaction. The database's log shows the
 * refusal as an error.
 */
export const seal: CatalogueCheck = {
  promise: 'refuses an identity that was forged',
  remedy:
    'If its key, the one row of ctx.seal_key, is missing: insert a new one as drizzle/0003_seal.sql does, as the context role.',
  check: async (client, roles) => {
    await client.query('savepoint forged')
    const answer = await attempt()
    await client.query('rollback to savepoint forged')
    return {
      lookedAt: 1,
      findings:
        answer === undefined ? [] : [{ what: `a forged identity met with ${answer}`, isWarning: false }],
    }

    async function attempt(): Promise<string | undefined> {
      try {
        await client.query(`set local app.current_user_id = '${FORGED}'`)
        await client.query(`set local role ${pg.escapeIdentifier(roles.user)}`)
        await client.query('select ctx.uid() /* the self-check of NetPilot: this must fail */')
        return 'no refusal'
      } catch (error) {
        const { code, message } = error as pg.DatabaseError
        return code === 'NP403' ? undefined : `another error: ${message}`
      }
    }
  },
}

/**
 * The server as an operator runs it behind PgBouncer: migrated past it, started on it, woken past it, stopped
 * in order.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { roleNames } from '../../../src/database/role-names.ts'
import { setUpDatabase } from '../../../src/database/setup.ts'
import { asAdmin, loginUrl, separateDatabase, servingUrl } from '../../support/database.ts'
import { serverProcesses } from '../../support/server-process.ts'
import { newSecrets, openServer, worldOf } from '../../support/world.ts'

const processes = serverProcesses()
afterAll(processes.killAll)

describe('the server process behind the pooler', () => {
  it('is migrated and woken past it, serves through it, and leaves in order', async () => {
    const database = await separateDatabase(inject('database'), 'process')
    const { adminUrl, rolePrefix } = database
    await setUpDatabase({ adminUrl, rolePrefix, passwords: {} })
    const secrets = newSecrets()
    const env = {
      DATABASE_URL: servingUrl(database, 'server'),
      DATABASE_AUTH_URL: servingUrl(database, 'auth'),
      DATABASE_ADMIN_URL: servingUrl(database, 'admin'),
      // A role that the pooler does not know.
      DATABASE_URL_DIRECT: loginUrl(database, 'monitor'),
      DATABASE_MIGRATE_URL: loginUrl(database, 'migrator'),
      DATABASE_NAMED_STATEMENTS: 'off',
      DATABASE_ROLE_PREFIX: rolePrefix,
      JWT_SECRET: secrets.jwt.current,
      PASSWORD_PEPPER: secrets.pepper.current,
    }
    await expect(processes.start(env)).rejects.toThrow('npm run migrate')
    const migrated = await promisify(execFile)(process.execPath, ['src/cli/migrate.ts'], {
      env: { PATH: process.env.PATH, ...env },
    })
    expect(migrated.stdout).toContain('Applied: 0000_identity')

    const { child, url, output } = await processes.start(env)
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({
      status: 'ok',
      database: { status: 'up' },
    })
    const elsewhere = await openServer({}, database, { secrets })
    const ada = await worldOf(elsewhere).person()
    const router = await ada.router()
    const askPolicy = (headers: Record<string, string>) =>
      fetch(`${url}/api/agent/policy?wait=30`, { headers: { 'x-api-key': router.key, ...headers } })
    const { revision } = (await (await askPolicy({})).json()) as { revision: string }
    const waiting = askPolicy({ 'if-none-match': `"${revision}"` })
    await ada.call('PATCH', `/api/routers/${router.id}`, { body: { mode: 'whitelist' } })
    expect(await (await waiting).json()).toMatchObject({ mode: 'whitelist' })
    const listening = 'select query from pg_stat_activity where datname = current_database() and usename = $1'
    const listeners = await asAdmin(
      adminUrl,
      async (client) => (await client.query(listening, [roleNames(rolePrefix).monitor])).rows,
    )
    expect(listeners).toHaveLength(1)

    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
    expect(output.join('\n')).toContain('closed')
    expect(output.join('\n')).not.toContain('the LISTEN connection was lost')
    await elsewhere.close()
  })
})

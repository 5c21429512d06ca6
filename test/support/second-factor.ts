/** People with a second factor, and their authenticator apps. */
import { type TOTP, URI } from 'otpauth'
import { type Person, rowsOf, type World } from './world.ts'

export const FACTOR_PATH = '/api/auth/second-factor'
const STEP_MS = 30_000

export const appOf = (uri: string) => URI.parse(uri) as TOTP
/** The code of `steps` from now. */
export const codeOf = (app: TOTP, steps = 0) => app.generate({ timestamp: Date.now() + steps * STEP_MS })
/** Six digits that the app does not show now, soon, or shortly before. */
export function wrongCodeOf(app: TOTP): string {
  const codes = [-3, -2, -1, 0, 1, 2, 3].map((steps) => codeOf(app, steps))
  return (
    ['000000', '111111', '222222', '333333', '444444', '555555', '666666', '777777'].find(
      (code) => !codes.includes(code),
    ) ?? ''
  )
}
/** Makes the last accepted code five minutes old. */
export const letTimePass = ({ id }: Pick<Person, 'id'>, sql = rowsOf) =>
  sql('update user_credentials set totp_last_step = totp_last_step - 10 where user_id = $1', [id])

export const setUp = (who: Person, proof: object = { password: who.password }) =>
  who.call('POST', `${FACTOR_PATH}/setup`, { body: proof })
export const confirm = (who: Person, code: string) =>
  who.call('POST', `${FACTOR_PATH}/confirm`, { body: { code } })

export type Enrolled = Person & {
  app: TOTP
  recoveryCodes: string[] /** A code that was not used yet. */
  code(): Promise<string>
}

/**
 * A new person with the second factor enabled. `sql` bypasses row security, in the database of that world.
 */
export async function enrolledIn(
  world: World,
  fields: { email?: string } = {},
  sql = rowsOf,
): Promise<Enrolled> {
  const who = await world.confirmedPerson(fields)
  const app = appOf((await setUp(who)).json().uri)
  const confirmed = await confirm(who, codeOf(app))
  if (confirmed.statusCode !== 200)
    throw new Error(`confirming a factor answered ${confirmed.statusCode}: ${confirmed.body}`)
  const code = async () => {
    await letTimePass(who, sql)
    return codeOf(app)
  }
  return { ...who, app, recoveryCodes: confirmed.json().recoveryCodes, code }
}

/**
 * The roles that policies speak of. `npm run setup` creates them (`database/setup.ts`); migrations and
 * policies only name them.
 */
import { pgRole } from '../database/drizzle.ts'

/** Assumed by a transaction that works for a signed-in person. */
export const appUser = pgRole('netpilot_user').existing()
/** Assumed by a transaction that works for the agent of one router. */
export const appAgent = pgRole('netpilot_agent').existing()
/** A login of its own: signing in and credentials. */
export const appAuth = pgRole('netpilot_auth').existing()
/** A login of its own: administration, for whoever the database knows as an administrator. */
export const appAdmin = pgRole('netpilot_admin').existing()
/** Owns the functions that establish who is asking, and reads what they need for it. */
export const appContext = pgRole('netpilot_context').existing()

/**
 * The roles that policies name. `npm run setup` creates them (`database/setup.ts`); migrations and policies
 * only refer to them.
 */
import { pgRole } from '../database/drizzle.ts'

/** A transaction for a signed-in person assumes this role. */
export const appUser = pgRole('netpilot_user').existing()
/** A transaction for the agent of one router assumes this role. */
export const appAgent = pgRole('netpilot_agent').existing()
/** A separate login for signing in and credentials. */
export const appAuth = pgRole('netpilot_auth').existing()
/** A separate login for administration, for people whom the database knows as administrators. */
export const appAdmin = pgRole('netpilot_admin').existing()
/** Owns the functions that establish the identity, and reads what they need. */
export const appContext = pgRole('netpilot_context').existing()

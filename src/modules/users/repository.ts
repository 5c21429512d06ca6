import { ownerOf } from '../../rls/mine.ts'
import type { Tx } from '../../rls/session.ts'
import type { User } from './schema.ts'

/** The signed-in person; undefined when the account went away in the same moment. */
export async function findMe(tx: Tx): Promise<User | undefined> {
  const [me] = await tx.query<User>({
    name: 'find me',
    text: `select id, email, full_name as "fullName", role, email_verified_at is not null as "emailVerified", ctx.has_password() as "hasPassword",
      created_at as "createdAt" from users where id = $1`,
    values: [ownerOf(tx)],
  })
  return me
}

/** Finds and creates accounts by a provider's claims, with static statements of the auth database role. */
import { randomUUID } from 'node:crypto'
import type { User } from '../../modules/users/schema.ts'
import type { Tx } from '../../rls/transaction.ts'
import {
  dropIdentity,
  findSubject,
  findUserIdByEmail,
  findUserIdByIdentity,
  linkIdentity,
  lockCredentials,
  type ProviderIdentity,
  takeEmail,
  takeIdentity,
} from '../credentials/identities.ts'
import { type Account, addCredentials, findAccount, USER } from '../credentials/repository.ts'
import { confirmEmail } from '../email/repository.ts'
import type { ProviderClaims, ProviderId } from './provider.ts'

/**
 * `linked`: the account that the provider's identity signs in to. `namesake`: another account with the same
 * address.
 */
export type Candidates = {
  linked: Account | undefined
  namesake: (Account & { subject: string | undefined }) | undefined
}

/** Locks both accounts, so that they do not change until the transaction ends. */
export async function lockCandidates(
  tx: Tx,
  provider: ProviderId,
  claims: ProviderClaims,
): Promise<Candidates> {
  const identity = { provider, subject: claims.sub }
  for (;;) {
    const [linkedId, namesakeId] = [
      await findUserIdByIdentity(tx, identity),
      await findUserIdByEmail(tx, claims.email),
    ]
    // Locks are always taken in the same order, so that two sign-ins do not deadlock.
    const ids = [...new Set([linkedId, namesakeId])].filter((id) => id !== undefined).sort()
    for (const id of ids) await lockCredentials(tx, id)
    // The transaction that had the lock before may have changed the address or the link.
    const isStill =
      linkedId === (await findUserIdByIdentity(tx, identity)) &&
      namesakeId === (await findUserIdByEmail(tx, claims.email))
    if (!isStill) continue
    const linked = linkedId === undefined ? undefined : await findAccount(tx, linkedId)
    const namesake =
      namesakeId === undefined || namesakeId === linkedId ? undefined : await findAccount(tx, namesakeId)
    return {
      linked,
      namesake: namesake && { ...namesake, subject: await findSubject(tx, namesake.id, provider) },
    }
  }
}

/** @returns undefined when an account with this address or this provider identity exists by now */
export async function addProviderUser(
  tx: Tx,
  provider: ProviderId,
  { sub, email, emailVerified, fullName, avatarUrl }: ProviderClaims,
): Promise<User | undefined> {
  const id = randomUUID()
  const identity: ProviderIdentity = { provider, subject: sub }
  if (!(await takeIdentity(tx, id, identity))) return undefined
  if (!(await takeEmail(tx, id, email))) {
    await dropIdentity(tx, id, identity)
    return undefined
  }
  const [user] = await tx.query<Omit<User, 'hasPassword'>>({
    name: 'add user of a provider',
    text: `insert into users as u (id, email, full_name, avatar_url) values ($1, $2, $3, $4) returning ${USER}`,
    values: [id, email, fullName, avatarUrl],
  })
  await addCredentials(tx, id)
  await linkIdentity(tx, id, identity)
  if (emailVerified) await confirmEmail(tx, id)
  return user && { ...user, emailVerified, hasPassword: false }
}

/** Reads the claims that every provider has in common, and checks that the database can store them. */
import { isStorableText } from '../../database/storable-text.ts'
import { normalisedEmail } from '../../network/email-address.ts'
import { isAccountAddress } from '../credentials/schema.ts'
import type { ProviderClaims } from './provider.ts'

export const isText = (value: unknown, max: number): value is string =>
  typeof value === 'string' && value !== '' && value.length <= max && isStorableText(value)

const isPicture = (value: unknown): value is string => isText(value, 2_000) && value.startsWith('https://')

/** @returns undefined when there is no address that an account can have. A name or picture may be missing. */
export function readProfile({
  email,
  name,
  picture,
}: Record<string, unknown>): Pick<ProviderClaims, 'email' | 'fullName' | 'avatarUrl'> | undefined {
  if (!isText(email, 254)) return undefined
  const address = normalisedEmail(email)
  if (!isAccountAddress(address)) return undefined
  return {
    email: address,
    fullName: isText(name, 200) ? name : null,
    avatarUrl: isPicture(picture) ? picture : null,
  }
}

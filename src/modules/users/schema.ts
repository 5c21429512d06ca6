import Type from 'typebox'
import { Instant, Nullable, OneOf, Uuid } from '../../http/schemas.ts'

export const User = Type.Object(
  {
    id: Uuid(),
    email: Type.String({ examples: ['ada@example.com'] }),
    fullName: Nullable(Type.String({ examples: ['Ada Lovelace'] })),
    role: OneOf(['user', 'admin']),
    emailVerified: Type.Boolean({ examples: [true] }),
    hasPassword: Type.Boolean({ examples: [true] }),
    createdAt: Instant(),
  },
  { $id: 'User', description: 'The signed-in person' },
)
export type User = Type.Static<typeof User>

/** The device and the address that began a login session. */
export const visitor = {
  client: Nullable(
    Type.String({
      description: 'The browser as people know it, guessed from `device`; null when it is none',
      examples: ['Firefox on Windows'],
    }),
  ),
  device: Nullable(
    Type.String({
      description: 'The `User-Agent` of the browser or app, which may be anything',
      examples: ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0'],
    }),
  ),
  address: Nullable(Type.String({ examples: ['192.0.2.7'] })),
}

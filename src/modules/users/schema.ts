import Type from 'typebox'
import { Instant, Nullable, OneOf, Uuid } from '../../http/schemas.ts'

export const User = Type.Object(
  {
    id: Uuid(),
    email: Type.String(),
    fullName: Nullable(Type.String()),
    role: OneOf(['user', 'admin']),
    emailVerified: Type.Boolean(),
    hasPassword: Type.Boolean(),
    createdAt: Instant(),
  },
  { $id: 'User' },
)
export type User = Type.Static<typeof User>

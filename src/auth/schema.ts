import Type from 'typebox'
import { Nullable, Strict, Text } from '../http/schemas.ts'
import { User } from '../modules/users/schema.ts'

/** Something before and after one @, with a dot after it; what else an address may be, only a mail to it can tell. */
const EMAIL =
  '^\\s*[^\\s@\\u0000-\\u001f\\u007f\\ud800-\\udfff]+@[^\\s@.\\u0000-\\u001f\\u007f\\ud800-\\udfff]+(\\.[^\\s@.\\u0000-\\u001f\\u007f\\ud800-\\udfff]+)+\\s*$'

const Email = Type.String({ maxLength: 254, pattern: EMAIL, description: 'Trimmed and lower-cased', examples: ['ada@example.com'] })
const Password = Text({ max: 256, description: '12 to 256 characters, all of which count', examples: ['correct horse battery staple'] })

export const Register = Strict({ email: Email, password: Password, fullName: Type.Optional(Nullable(Text({ max: 200 }))) })
export const Login = Strict({ email: Email, password: Password })
export const Refresh = Strict({ refreshToken: Text({ max: 512 }) })

export const Tokens = Type.Object(
  {
    user: User,
    accessToken: Type.String(),
    refreshToken: Type.String(),
    tokenType: Type.Literal('Bearer'),
    expiresIn: Type.Integer({ description: 'Seconds until the access token expires' }),
  },
  { $id: 'Tokens' },
)

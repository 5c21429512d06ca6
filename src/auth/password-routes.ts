/** Choosing a password. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { answers } from '../http/schemas.ts'
import type { PasswordRules } from './password-rules.ts'
import { PasswordRequirements } from './schema.ts'

export const passwordRequirementRoutes: FastifyPluginAsyncTypebox<{ passwordRules: PasswordRules }> = async (app, { passwordRules }) => {
  app.get(
    '/password-requirements',
    {
      schema: {
        tags: ['auth'],
        operationId: 'getPasswordRequirements',
        summary: 'What a password must be',
        description:
          'For a form. There are no rules about kinds of characters. A password that is refused is 400 `invalid-request`, and `errors` names the rule.',
        response: answers({ 200: PasswordRequirements }),
      },
    },
    async () => passwordRules.requirements,
  )
}

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import type { AccountMail } from '../../mail/account-mail.ts'
import { recoveryCodeUsed, secondFactorLocked } from '../../mail/templates.ts'
import { ANONYMOUS } from '../../rls/identity.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { findActiveUser } from '../credentials/repository.ts'
import { findToken, useToken } from '../one-time-tokens/repository.ts'
import { findFactorStatus } from '../second-factor/repository.ts'
import { AnswerChallenge } from '../second-factor/schema.ts'
import type { SecondFactor } from '../second-factor/second-factor.ts'
import { Tokens, TokenTransport } from '../sessions/schema.ts'
import type { SignIn } from './sign-in.ts'

export type ChallengeRoutesOptions = {
  withTransaction: WithTransaction
  signIn: SignIn
  secondFactor: SecondFactor
  accountMail: AccountMail
}

/** Routes for a person who has passed the first factor and must now pass the second. */
export const challengeRoutes: FastifyPluginAsyncTypebox<ChallengeRoutesOptions> = async (
  app,
  { withTransaction, signIn, secondFactor, accountMail },
) => {
  app.post(
    '/second-factor',
    {
      schema: {
        tags: ['auth'],
        operationId: 'answerChallenge',
        summary: 'Answer a second-factor challenge',
        description:
          'Completes a sign-in with a code of the second factor. The challenge of `second-factor-required` is good for five minutes and one sign-in. A wrong code is 401 `wrong-code`, and the challenge stays good. After five wrong codes the server takes none for five minutes (429 `locked-out`). A challenge that is not good any more is 401 `challenge-ended`.',
        body: AnswerChallenge,
        headers: TokenTransport,
        response: responses(
          { 200: Tokens },
          ['wrong-code', 401],
          'challenge-ended',
          'email-unverified',
          'cross-site',
          'conflict',
          'locked-out',
        ),
      },
    },
    async (request, reply) => {
      const { challenge, code } = request.body
      const { user, isLast, proven } = await withTransaction(ANONYMOUS, async (tx) => {
        const token = await findToken(tx, challenge, 'second-factor')
        const user = token && (await findActiveUser(tx, token.userId))
        if (!user) throw deadChallenge()
        const { provenBy, isLast } = await secondFactor.prove(tx, user.id, code, request)
        if (!provenBy) return { user, isLast }
        // If another request has answered the challenge meanwhile, the rollback leaves this code unused.
        if (!(await useToken(tx, challenge, 'second-factor'))) throw deadChallenge()
        const result = await signIn.completeSignIn(tx, { ...user, hasSecondFactor: true }, request, {
          secondFactor: provenBy,
        })
        return { user, isLast, proven: { provenBy, result, ...(await findFactorStatus(tx, user.id)) } }
      })
      if (!proven) {
        if (isLast) accountMail.notify(user.email, secondFactorLocked, request)
        throw problem('wrong-code', { status: 401 })
      }
      const { provenBy, result, recoveryCodesLeft: left } = proven
      if (provenBy === 'recovery-code')
        accountMail.notify(user.email, (context) => recoveryCodeUsed({ ...context, left }), request)
      return signIn.toResponse(result, request, reply)
    },
  )
}

const deadChallenge = () => problem('challenge-ended', { detail: 'Sign in again' })

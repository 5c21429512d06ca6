import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import type { AccountMail } from '../../mail/account-mail.ts'
import type { EmailContent } from '../../mail/email-content.ts'
import {
  type EventContext,
  recoveryCodesReplaced,
  secondFactorLocked,
  secondFactorOff,
  secondFactorOn,
} from '../../mail/templates.ts'
import { asCredentialManager } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import { findActiveUser } from '../credentials/repository.ts'
import { OwnerProof } from '../credentials/schema.ts'
import type { Reauthenticate } from '../sessions/owner-proof.ts'
import { findFactorStatus, removeFactor } from './repository.ts'
import {
  ConfirmFactor,
  FactorStatus,
  NewRecoveryCodes,
  OfferedSecret,
  RenewRecoveryCodes,
  SwitchOffFactor,
} from './schema.ts'
import type { SecondFactor } from './second-factor.ts'

export type SecondFactorRoutesOptions = {
  withTransaction: WithTransaction
  secondFactor: SecondFactor
  reauthenticate: Reauthenticate
  accountMail: AccountMail
}

/** Routes for signed-in users: their own second factor. */
export const secondFactorRoutes: FastifyPluginAsyncTypebox<SecondFactorRoutesOptions> = async (
  app,
  { withTransaction, secondFactor, reauthenticate, accountMail },
) => {
  const documented = { tags: ['auth'], security: [{ person: [] }] }

  /**
   * Checks the code and does the work in one transaction. It commits even when the code is wrong, so this
   * function records the audit event itself. `letter` is the mail that informs the owner of the change.
   */
  async function withCode<T>(
    request: FastifyRequest,
    code: string,
    work: (tx: Tx, userId: string) => Promise<T>,
    letter: (context: EventContext) => EmailContent,
    options?: { confirming: boolean },
  ): Promise<T> {
    const identity = { ...asCredentialManager(request.identity), audited: undefined }
    const { userId } = identity
    const { user, isLast, done } = await withTransaction(identity, async (tx) => {
      const user = await findActiveUser(tx, userId)
      if (!user) throw problem('unauthenticated')
      const { provenBy, isLast } = await secondFactor.prove(tx, userId, code, request, options)
      if (!provenBy) return { user, isLast }
      const result = await work(tx, userId)
      await recordAuditEvent(tx, userId, request, 'success', { secondFactor: provenBy })
      return { user, isLast, done: { result } }
    })
    if (!done) {
      if (isLast) accountMail.notify(user.email, secondFactorLocked, request)
      throw problem('wrong-code')
    }
    accountMail.notify(user.email, letter, request)
    return done.result
  }

  app.get(
    '/second-factor',
    {
      schema: {
        ...documented,
        operationId: 'getSecondFactor',
        summary: 'Get the status of the second factor',
        description:
          'Says whether signing in asks for a second factor, and how many recovery codes are left.',
        response: responses({ 200: FactorStatus }),
      },
    },
    async (request) => {
      const identity = asCredentialManager(request.identity)
      const status = await withTransaction(identity, (tx) => findFactorStatus(tx, identity.userId), {
        readOnly: true,
      })
      return { enabled: status.confirmedAt !== null, ...status }
    },
  )

  app.post(
    '/second-factor/setup',
    {
      config: { withoutSecondFactor: true },
      schema: {
        ...documented,
        operationId: 'setUpSecondFactor',
        summary: 'Set up the second factor',
        description:
          'Returns a secret for an authenticator app. Signing in asks for no code until `confirmSecondFactor` has seen one. Until then, another call replaces the secret; afterwards it is 409 `conflict`. Without a confirmed address it is 403 `email-unverified`.',
        body: OwnerProof,
        response: responses(
          { 200: OfferedSecret },
          'wrong-password',
          'locked-out',
          'conflict',
          'email-unverified',
        ),
      },
    },
    async (request) => {
      await reauthenticate(request, request.body)
      const identity = asCredentialManager(request.identity)
      return withTransaction(identity, (tx) => secondFactor.offer(tx, identity.userId))
    },
  )

  app.post(
    '/second-factor/confirm',
    {
      config: { withoutSecondFactor: true },
      schema: {
        ...documented,
        operationId: 'confirmSecondFactor',
        summary: 'Confirm the second factor',
        description:
          'Enables the second factor with the first code of the app, and returns recovery codes. From then on every sign-in asks for a code, also after a reset of the password. Login sessions go on.',
        body: ConfirmFactor,
        response: responses(
          { 200: NewRecoveryCodes },
          'wrong-code',
          'conflict',
          'locked-out',
          'email-unverified',
        ),
      },
    },
    async (request) => ({
      recoveryCodes: await withCode(request, request.body.code, secondFactor.confirm, secondFactorOn, {
        confirming: true,
      }),
    }),
  )

  app.post(
    '/second-factor/recovery-codes',
    {
      schema: {
        ...documented,
        operationId: 'renewRecoveryCodes',
        summary: 'Replace the recovery codes',
        description: 'Returns new recovery codes. The old ones become void.',
        body: RenewRecoveryCodes,
        response: responses({ 200: NewRecoveryCodes }, 'wrong-code', 'conflict', 'locked-out'),
      },
    },
    async (request) => ({
      recoveryCodes: await withCode(
        request,
        request.body.code,
        secondFactor.renewRecoveryCodes,
        recoveryCodesReplaced,
      ),
    }),
  )

  app.post(
    '/second-factor/disable',
    {
      schema: {
        ...documented,
        operationId: 'disableSecondFactor',
        summary: 'Disable the second factor',
        description: 'Disables the second factor. The request takes a proof of the owner and a code.',
        body: SwitchOffFactor,
        response: responses({ 204: Type.Null() }, 'wrong-password', 'wrong-code', 'conflict', 'locked-out'),
      },
    },
    async (request, reply) => {
      const { code, ...proof } = request.body
      await reauthenticate(request, proof)
      await withCode(request, code, removeFactor, secondFactorOff)
      return reply.code(204).send(null)
    },
  )
}

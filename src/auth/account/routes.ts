/** Routes for a person's account: profile, status, deactivation, reactivation, deletion and export. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { fieldsOf, requireVersion } from '../../http/etag.ts'
import { problem } from '../../http/problem.ts'
import { responses } from '../../http/schemas.ts'
import type { AccountMail } from '../../mail/account-mail.ts'
import { accountDeactivated, accountDeleted } from '../../mail/templates.ts'
import { changeProfile, exportUserData, findProfile, lockProfile } from '../../modules/users/repository.ts'
import { ANONYMOUS, asCredentialManager } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { recordAuditEvent } from '../audit/record-event.ts'
import { findUserIdByIdentity } from '../credentials/identities.ts'
import { type Account, findAccount, findAccountEmail } from '../credentials/repository.ts'
import { OwnerProof } from '../credentials/schema.ts'
import type { Reauthenticate, VerifyIdentity } from '../sessions/owner-proof.ts'
import type { RefreshCookie } from '../sessions/refresh-cookie.ts'
import { SIGN_IN_PROBLEMS, Tokens, TokenTransport } from '../sessions/schema.ts'
import type { SignIn } from '../sign-in/sign-in.ts'
import type { VerifyPassword } from '../sign-in/verify-password.ts'
import {
  deactivateAccount,
  deleteAccount,
  exportCredentials,
  findAccountStatus,
  reactivateAccount,
} from './repository.ts'
import { AccountStatus, ChangeProfile, Export, Profile, Reactivate } from './schema.ts'

export type AccountRoutesOptions = {
  withTransaction: WithTransaction
  reauthenticate: Reauthenticate
  refreshCookie: RefreshCookie
  accountMail: AccountMail
}

const documented = { tags: ['account'], security: [{ person: [] }] }

/** Routes for signed-in users. */
export const accountRoutes: FastifyPluginAsyncTypebox<AccountRoutesOptions> = async (
  app,
  { withTransaction, reauthenticate, refreshCookie, accountMail },
) => {
  const config = { versionOf: fieldsOf(...Object.keys(ChangeProfile.properties)) }
  const gone = () => problem('unauthenticated')

  app.get(
    '/profile',
    {
      config,
      schema: {
        ...documented,
        operationId: 'getProfile',
        summary: 'Get your profile',
        description: 'Returns what the person says about themselves.',
        response: responses({ 200: Profile }),
      },
    },
    async (request) => {
      const profile = await withTransaction(request.identity, findProfile, { readOnly: true })
      if (!profile) throw gone()
      return profile
    },
  )

  app.put(
    '/profile',
    {
      config,
      schema: {
        ...documented,
        operationId: 'changeProfile',
        summary: 'Change your profile',
        description: 'Replaces the profile. A field that is left out stays as it is.',
        body: ChangeProfile,
        response: responses({ 200: Profile }),
      },
    },
    async (request) => {
      const { avatarUrl } = request.body
      if (
        typeof avatarUrl === 'string' &&
        !(URL.canParse(avatarUrl) && new URL(avatarUrl).protocol === 'https:')
      )
        throw problem('invalid-request', {
          errors: [{ path: '/body/avatarUrl', code: 'wrong-format', message: 'must be an https URL' }],
        })
      return withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => lockProfile(tx))
        const profile = await changeProfile(tx, request.body)
        if (!profile) throw gone()
        return profile
      })
    },
  )

  app.get(
    '/account-status',
    {
      config: { withoutSecondFactor: true },
      schema: {
        ...documented,
        operationId: 'getAccountStatus',
        summary: 'Get the status of your account',
        description: 'Returns how the account signs in, and how many login sessions it has.',
        response: responses({ 200: AccountStatus }),
      },
    },
    async (request) => {
      const identity = asCredentialManager(request.identity)
      const status = await withTransaction(identity, (tx) => findAccountStatus(tx, identity.userId), {
        readOnly: true,
      })
      if (!status) throw gone()
      return status
    },
  )

  app.get(
    '/export',
    {
      schema: {
        ...documented,
        operationId: 'exportAccount',
        summary: 'Export your data',
        description:
          'Returns every table of the account as it is stored, without passwords, keys and sessions.',
        response: responses({ 200: Export }),
      },
    },
    async (request, reply) => {
      const identity = asCredentialManager(request.identity)
      const [account, home] = await withTransaction(
        request.identity,
        async (tx) => [await findProfile(tx), await exportUserData(tx)] as const,
        {
          readOnly: true,
        },
      )
      if (!account) throw gone()
      const credentials = await withTransaction(identity, (tx) => exportCredentials(tx, identity.userId), {
        readOnly: true,
      })
      reply.header('content-disposition', 'attachment; filename="netpilot-export.json"')
      return { exportedAt: new Date(), account, tables: { ...home, ...credentials } }
    },
  )

  app.post(
    '/deactivate',
    {
      config: { setsCookie: true },
      schema: {
        ...documented,
        operationId: 'deactivate',
        summary: 'Deactivate your account',
        description:
          'Deactivates the account. It ends every login session and stops the keys of scripts and routers. It deletes nothing, and `reactivate` undoes it.',
        body: OwnerProof,
        response: responses({ 204: Type.Null() }, 'wrong-password', 'locked-out'),
      },
    },
    async (request, reply) => {
      await reauthenticate(request, request.body)
      const identity = asCredentialManager(request.identity)
      const mailbox = await withTransaction(identity, async (tx) => {
        await deactivateAccount(tx, identity.userId)
        return findAccountEmail(tx, identity.userId)
      })
      if (mailbox) accountMail.notify(mailbox.email, accountDeactivated, request)
      if (refreshCookie.isWanted(request)) refreshCookie.clear(reply)
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '/account',
    {
      config: { setsCookie: true },
      schema: {
        ...documented,
        operationId: 'deleteAccount',
        summary: 'Delete your account',
        description:
          'Deletes everything that the account owns. The audit log stays for its time, without personal data.',
        body: OwnerProof,
        response: responses({ 204: Type.Null() }, 'wrong-password', 'locked-out'),
      },
    },
    async (request, reply) => {
      await reauthenticate(request, request.body)
      // The audit event must be recorded before the account's personal data is deleted.
      const identity = { ...asCredentialManager(request.identity), audited: undefined }
      const mailbox = await withTransaction(identity, async (tx) => {
        const last = await findAccountEmail(tx, identity.userId)
        await recordAuditEvent(tx, identity.userId, request, 'success')
        await deleteAccount(tx, identity.userId)
        return last
      })
      if (mailbox) accountMail.notify(mailbox.email, accountDeleted, request)
      if (refreshCookie.isWanted(request)) refreshCookie.clear(reply)
      return reply.code(204).send(null)
    },
  )
}

export type ReactivateRoutesOptions = {
  withTransaction: WithTransaction
  signIn: SignIn
  verifyPassword: VerifyPassword
  verifyIdentity: VerifyIdentity
}

/** Routes for people who reactivate their account and so have no token. */
export const reactivateRoutes: FastifyPluginAsyncTypebox<ReactivateRoutesOptions> = async (
  app,
  { withTransaction, signIn, verifyPassword, verifyIdentity },
) => {
  app.post(
    '/reactivate',
    {
      schema: {
        tags: ['account'],
        operationId: 'reactivate',
        summary: 'Reactivate your account',
        description:
          'Reactivates an account that its owner deactivated, and signs in. An account that an administrator deactivated is 401, like a wrong password.',
        body: Reactivate,
        headers: TokenTransport,
        response: responses({ 200: Tokens }, ...SIGN_IN_PROBLEMS, 'locked-out'),
      },
    },
    async (request, reply) => {
      const { email, password = '', ...byProvider } = request.body
      const comeBack = async (tx: Tx, account: Account | undefined) => {
        if (!account || !(await reactivateAccount(tx, account.id))) throw problem('invalid-credentials')
        return signIn.completeSignIn(tx, account, request)
      }
      const withProvider = async () => {
        const proven = await verifyIdentity(byProvider)
        return withTransaction(ANONYMOUS, async (tx) => {
          const userId = proven && (await findUserIdByIdentity(tx, proven))
          return comeBack(tx, userId === undefined ? undefined : await findAccount(tx, userId))
        })
      }
      const result =
        email === undefined
          ? await withProvider()
          : await verifyPassword(request, { email, password }, comeBack, { inactiveToo: true })
      return signIn.toResponse(result, request, reply)
    },
  )
}

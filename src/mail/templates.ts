/**
 * The mails that NetPilot sends to people. The person who causes a mail controls none of its text, except for
 * an address in a mail to its owner. Mails omit names and browsers: otherwise a registration with another
 * person's address would send them a stranger's words.
 */
import { type Block, type EmailContent, renderEmail } from './email-content.ts'

/** The addresses of the frontend and of the API: as configured, or not known. */
export type Whereabouts = { appUrl?: string | undefined; publicUrl?: string | undefined }

/**
 * A secret in a mail, its lifetime, and the frontend that accepts it; without a frontend, the API accepts it.
 */
export type MailedToken = Whereabouts & { token: string; minutes: number }

/** When something was done, and from where if that is known. */
export type EventContext = Whereabouts & { at: Date; ip?: string | null }

/** What was removed from an account, as the statements that removed it report. */
export type Removed = {
  password?: boolean
  loginSessions?: number
  providers?: string[]
  personalKeys?: number
}

/** The purposes of mailed tokens; each is the name of a page of the frontend. */
const ROUTES = {
  'verify-email': '/api/auth/verify-email',
  'reset-password': '/api/auth/reset-password',
  'change-email': '/api/auth/verify-email',
  invitation: '/api/auth/reset-password',
} as const

export const verifyAddress = (mailed: MailedToken): EmailContent =>
  renderEmail('verify-email', 'Confirm your e-mail address', [
    'Somebody opened a NetPilot account with this e-mail address. Please confirm that the address is yours.',
    ...use('verify-email', 'Confirm the address', mailed),
    'If this was not you, do nothing: the address stays unconfirmed.',
  ])

export const resetPassword = (mailed: MailedToken): EmailContent =>
  renderEmail('reset-password', 'Choose a new password', [
    'Somebody asked for a new password for your NetPilot account.',
    ...use('reset-password', 'Choose a new password', mailed),
    'If this was not you, do nothing: your password stays as it is, and without this mail nobody can change it this way.',
  ])

/** To the new address. */
export const confirmNewAddress = (mailed: MailedToken): EmailContent =>
  renderEmail('change-email', 'Confirm your new e-mail address', [
    'A NetPilot account is to use this e-mail address from now on. Please confirm that the address is yours.',
    ...use('change-email', 'Confirm the new address', mailed),
    'If this was not you, do nothing: the account keeps the address it has.',
  ])

/** To the old address, when the change was requested. */
export const addressIsChanging = ({
  newEmail,
  ...context
}: EventContext & { newEmail: string }): EmailContent =>
  renderEmail('address-is-changing', 'Your e-mail address is about to change', [
    `Your NetPilot account is to use another e-mail address: ${newEmail}. It changes as soon as that address is confirmed.`,
    facts(context),
    'If this was not you, somebody knows your password. Choose a new one at once: that also stops the change.',
    ...newPassword(context),
  ])

/** To the old address, when the change is done. */
export const addressWasChanged = ({
  newEmail,
  ...context
}: EventContext & { newEmail: string }): EmailContent =>
  renderEmail('address-was-changed', 'Your e-mail address was changed', [
    `Your NetPilot account now uses another e-mail address: ${newEmail}. From now on mails go there, and you sign in with it.`,
    facts(context),
    'If this was not you, somebody else has your account. Tell the people who run this NetPilot at once.',
  ])

/** `invitedBy`: an administrator, in their own words. */
export const invitation = ({
  invitedBy,
  ...mailed
}: MailedToken & { invitedBy?: string | undefined }): EmailContent =>
  renderEmail('invitation', 'You are invited to NetPilot', [
    `You are invited to NetPilot${invitedBy === undefined ? '' : ` by ${invitedBy}`}: to see, allow, slow down, pause or block every device on your networks. To begin, choose a password.`,
    ...use('invitation', 'Choose a password', mailed),
    'If you did not expect this, do nothing: without a password nobody can sign in to the account.',
  ])

/** After `failures` in a row, sign-in with the password is locked for `seconds`. */
export const accountLocked = ({
  failures,
  seconds,
  ...context
}: EventContext & { failures: number; seconds: number }): EmailContent =>
  renderEmail('account-locked', 'Signing in is locked for a while', [
    `After ${failures} failed attempts in a row, nobody can sign in to your NetPilot account with a password for ${duration(Math.ceil(seconds / 60))}. None of them got in, and whoever was signed in before still is.`,
    facts(context),
    'If this was you, wait, or choose a new password: then you can sign in at once. If this was not you, there is nothing you must do; a long password that you use nowhere else, and a second factor, keep strangers out.',
    ...newPassword(context),
  ])

/**
 * A signed-in caller gave a wrong password `failures` times in a row where an operation requires it; no
 * password is accepted for `seconds`.
 */
export const passwordGuessed = ({
  failures,
  seconds,
  ...context
}: EventContext & { failures: number; seconds: number }): EmailContent =>
  renderEmail('password-guessed', 'Wrong passwords while signed in', [
    `Somebody who is signed in to your NetPilot account gave ${failures} wrong passwords in a row. None is taken there for ${duration(Math.ceil(seconds / 60))}, and nothing of what was asked for was done.`,
    facts(context),
    'If this was not you, somebody else is signed in to your account. Choose a new password at once: that also ends every login session.',
    ...newPassword(context),
  ])

export const passwordChanged = (context: EventContext & Removed): EmailContent =>
  renderEmail('password-changed', 'Your password was changed', [
    'The password of your NetPilot account was changed.',
    ...removals({ ...context, password: false }),
    facts(context),
    'If this was not you, choose a new password at once.',
    ...newPassword(context),
  ])

/**
 * The provider (such as Google) confirmed the identity of the person who signed in. The address had not been
 * confirmed before.
 */
export const accountClaimed = ({
  provider,
  ...context
}: EventContext & Removed & { provider: string }): EmailContent =>
  renderEmail('account-claimed', `Your account was linked to ${provider}`, [
    `Somebody whom ${provider} knows by this e-mail address signed in to the NetPilot account with this address, and it is linked to their ${provider} account now. Nobody had confirmed the address before, so whoever opened the account cannot come back to it.`,
    ...removals(context),
    facts(context),
    'If this was not you, choose a new password at once.',
    ...newPassword(context),
  ])

/**
 * Registration answers the same for known and unknown addresses; this mail tells the owner of a known
 * address.
 */
export const registrationAttempted = (context: EventContext): EmailContent =>
  renderEmail('registration-attempted', 'You already have an account', [
    'Somebody, you perhaps, tried to open a NetPilot account with this e-mail address. There is one already, and nothing about it was changed. Sign in to it, or choose a new password if you forgot yours.',
    facts(context),
    ...newPassword(context),
    'If this was not you, do nothing: whoever tried was not told that you have an account.',
  ])

export const secondFactorOn = (context: EventContext): EmailContent =>
  renderEmail('second-factor-on', 'A second factor was switched on', [
    'From now on, signing in to your NetPilot account also takes a code from your authenticator app. Keep the recovery codes where you will find them without it.',
    facts(context),
    'If this was not you, choose a new password at once, and tell the people who run this NetPilot.',
    ...newPassword(context),
  ])

export const secondFactorOff = (context: EventContext): EmailContent =>
  renderEmail('second-factor-off', 'The second factor was switched off', [
    'Signing in to your NetPilot account no longer takes a code from an authenticator app.',
    facts(context),
    'If this was not you, choose a new password at once, then switch the second factor on again.',
    ...newPassword(context),
  ])

export const secondFactorLocked = (context: EventContext): EmailContent =>
  renderEmail('second-factor-locked', 'Wrong codes of your second factor', [
    'Somebody who knows your password, or is signed in to your NetPilot account, entered wrong codes of your second factor, until none was taken any more for a while. None of them was let in by that, and whoever was signed in before still is.',
    facts(context),
    'If this was not you, choose a new password at once.',
    ...newPassword(context),
  ])

/** `left`: how many remain. */
export const recoveryCodeUsed = ({ left, ...context }: EventContext & { left: number }): EmailContent =>
  renderEmail('recovery-code-used', 'A recovery code was used', [
    `Somebody used a recovery code of your NetPilot account in place of the authenticator app. ${left === 0 ? 'It was the last one: make new ones before you need them.' : `Codes left: ${left}.`}`,
    facts(context),
    'If this was not you, choose a new password at once, then replace the recovery codes.',
    ...newPassword(context),
  ])

export const recoveryCodesReplaced = (context: EventContext): EmailContent =>
  renderEmail('recovery-codes-replaced', 'Your recovery codes were replaced', [
    'The recovery codes of your NetPilot account were replaced. Those from before are void.',
    facts(context),
    'If this was not you, choose a new password at once, then replace the recovery codes.',
    ...newPassword(context),
  ])

/** `scopes`: what the key may do. `replaces`: the key that it replaces. */
export const keyAdded = ({
  scopes,
  expiresAt,
  replaces,
  ...context
}: EventContext & { scopes: string[]; expiresAt: Date | null; replaces: boolean }): EmailContent =>
  renderEmail('key-added', 'A personal key was made', [
    `Somebody who is signed in to your NetPilot account made a personal key for scripts${replaces ? ', in place of one that there was' : ''}. It allows: ${LIST.format(scopes)}. It ends ${expiresAt ? `on ${UTC.format(expiresAt)} UTC` : 'when it is revoked, and not before'}.`,
    facts(context),
    'If this was not you, revoke the key and choose a new password at once.',
    ...newPassword(context),
  ])

export const accountDeactivated = (context: EventContext): EmailContent =>
  renderEmail('account-deactivated', 'Your account was deactivated', [
    'Your NetPilot account was deactivated, and whoever was signed in to it is signed out. Nothing in it was deleted. Unless an administrator deactivated it, you can take it into use again by proving that it is yours, as when you sign in.',
    facts(context),
    'If this was not you, take it into use again and choose a new password at once, or tell the people who run this NetPilot.',
    ...newPassword(context),
  ])

export const accountDeleted = (context: EventContext): EmailContent =>
  renderEmail('account-deleted', 'Your account was deleted', [
    'Your NetPilot account was deleted, with everything in it. This is the last mail about it.',
    facts(context),
    'If this was not you, tell the people who run this NetPilot.',
  ])

/** The token travels in the fragment, which browsers send to no server, so that no server logs it. */
function use(
  purpose: keyof typeof ROUTES,
  words: string,
  { token, minutes, appUrl, publicUrl = '' }: MailedToken,
): Block[] {
  const once = `good for ${duration(minutes)}, and for one use`
  if (appUrl === undefined)
    return [
      `${words} with this token, by POST ${publicUrl}${ROUTES[purpose]}:`,
      { secret: token },
      `The token is ${once}.`,
    ]
  return [{ link: `${appUrl}/${purpose}#token=${encodeURIComponent(token)}`, words }, `The link is ${once}.`]
}

const newPassword = ({ appUrl, publicUrl = '' }: EventContext): Block[] =>
  appUrl === undefined
    ? [`To choose a new password, ask for one by POST ${publicUrl}/api/auth/forgot-password.`]
    : [{ link: `${appUrl}/forgot-password`, words: 'Choose a new password' }]

const removals = ({ password, loginSessions = 0, providers = [], personalKeys = 0 }: Removed): Block[] => {
  const what = [
    password && 'the password',
    loginSessions > 0 && counted(loginSessions, 'login session'),
    providers.includes('google') && 'the link to a Google account',
    providers.some((provider) => provider !== 'google') && 'the link to an account at another provider',
    personalKeys > 0 && `${counted(personalKeys, 'personal key')} for scripts`,
  ].filter((part) => part !== false && part !== undefined)
  return what.length === 0 ? [] : [`Removed with that: ${LIST.format(what)}.`]
}

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`
const LIST = new Intl.ListFormat('en')
const UTC = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' })
const facts = ({ at, ip }: EventContext): Block => ({
  facts: { When: `${UTC.format(at)} UTC`, ...(ip && { 'Network address': ip }) },
})

/** In whole days from two days on, in whole hours, or in minutes. */
function duration(minutes: number): string {
  const [unit, length] =
    minutes % 1_440 === 0 && minutes > 1_440
      ? ['day', 1_440]
      : minutes % 60 === 0
        ? ['hour', 60]
        : ['minute', 1]
  return new Intl.NumberFormat('en', { style: 'unit', unit, unitDisplay: 'long' }).format(minutes / length)
}

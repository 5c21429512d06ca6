import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeSingleUseToken } from '../../src/auth/one-time-tokens/single-use-token.ts'
import type { EmailContent } from '../../src/mail/email-content.ts'
import * as texts from '../../src/mail/templates.ts'

const { token } = makeSingleUseToken(randomUUID())
const at = new Date('2026-01-02T23:04:05Z')
const ip = '2001:db8::1'
const newEmail = 'ada@example.net'
const APP = 'https://app.example.com/netpilot'

/** Every mail there is, with a frontend or without. */
const everyLetter = (appUrl: string | undefined): EmailContent[] => {
  const mailed = { token, minutes: 30, appUrl }
  const occasion = { at, ip, appUrl }
  return [
    texts.verifyAddress(mailed),
    texts.resetPassword(mailed),
    texts.confirmNewAddress(mailed),
    texts.invitation({ ...mailed, invitedBy: 'ada@example.com' }),
    texts.addressIsChanging({ ...occasion, newEmail }),
    texts.addressWasChanged({ ...occasion, newEmail }),
    texts.accountLocked({ ...occasion, failures: 5, seconds: 300 }),
    texts.passwordGuessed({ ...occasion, failures: 5, seconds: 300 }),
    texts.passwordChanged(occasion),
    texts.accountClaimed({
      ...occasion,
      provider: 'Google',
      password: true,
      loginSessions: 2,
      personalKeys: 2,
    }),
    texts.registrationAttempted(occasion),
    texts.secondFactorOn(occasion),
    texts.secondFactorOff(occasion),
    texts.secondFactorLocked(occasion),
    texts.recoveryCodeUsed({ ...occasion, left: 3 }),
    texts.recoveryCodesReplaced(occasion),
    texts.keyAdded({ ...occasion, scopes: ['devices:read', 'blocks:write'], expiresAt: at, replaces: true }),
    texts.accountDeactivated(occasion),
    texts.accountDeleted(occasion),
  ]
}
const cases = [APP, undefined].flatMap((appUrl) =>
  everyLetter(appUrl).map(
    (letter) =>
      [letter.kind, appUrl === undefined ? 'without a frontend' : 'with one', letter, appUrl] as const,
  ),
)
const withTokens = ['verify-email', 'reset-password', 'change-email', 'invitation']

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
/** As somebody reads it on a page. */
const wordsOf = (html: string) =>
  html
    .replace(/^.*<body[^>]*>/s, '')
    .replaceAll(/<\/?(html|body|p|br|a|code)\b[^>]*>/g, ' ')
    .replaceAll(/&(#?\w+);/g, (_all, name) => ENTITIES[name] ?? '?')
    .split(/\s+/)
    .filter(Boolean)

describe('every mail', () => {
  it('has a kind of its own, as all that a log may say of it', () => {
    const kinds = everyLetter(APP).map(({ kind }) => kind)
    expect(new Set(kinds).size).toBe(Object.values(texts).length)
    expect(kinds.filter((kind) => !/^[a-z-]+$/.test(kind))).toEqual([])
  })

  it.each(cases)('says the same in both forms: %s, %s', (_kind, _how, { text, html }) => {
    expect(wordsOf(html)).toEqual(text.split(/\s+/).filter(Boolean))
  })

  it.each(cases)('can be read in a terminal: %s, %s', (_kind, _how, { subject, text }) => {
    const lines = text.split('\n')
    expect(lines.filter((line) => line.length > 72 && /\s/.test(line))).toEqual([])
    expect(text).toMatch(/[^\n]\n$/)
    expect(text).not.toMatch(/<|&\w+;|undefined|null|NaN/)
    expect(subject).toMatch(/^NetPilot: [\w -]{10,50}$/)
  })

  it.each(cases)(
    'fetches nothing, follows nobody and has its links in full in both forms: %s, %s',
    (_kind, _how, { text, html }, appUrl) => {
      expect(html).not.toMatch(
        /src=|url\(|<(?:img|link|script|iframe|form|object|base)\b|@import|http-equiv/i,
      )
      const links = [...html.matchAll(/href="([^"]*)"/g)].map(([, link = '']) => link)
      expect(
        links.filter((link) => appUrl === undefined || !link.startsWith(`${appUrl}/`) || link.includes('?')),
      ).toEqual([])
      expect(links).toEqual(text.split('\n').filter((line) => line.startsWith('https:')))
    },
  )

  it.each(cases)('says what to do if it was not you: %s, %s', (_kind, _how, { text }) => {
    expect(text.replaceAll('\n', ' ')).toMatch(/If (this was not you|you did not expect this), \w+/)
  })

  it.each(cases.filter(([kind]) => !withTokens.includes(kind)))(
    'tells when and from where: %s, %s',
    (_kind, _how, { text }) => {
      expect(text).toContain('\nWhen: 2 January 2026 at 23:04 UTC\nNetwork address: 2001:db8::1\n')
    },
  )

  it.each([
    [{}, undefined],
    [{ password: false, loginSessions: 0, providers: [], personalKeys: 0 }, undefined],
    [{ loginSessions: 1 }, 'Removed with that: 1 login session.'],
    [
      { loginSessions: 3, providers: ['google'] },
      'Removed with that: 3 login sessions and the link to a Google account.',
    ],
    [
      { password: true, loginSessions: 3, personalKeys: 1 },
      'Removed with that: the password, 3 login sessions, and 1 personal key for scripts.',
    ],
  ])(
    'about something that was taken away says what was, and nothing where nothing was: %j',
    (removed, words) => {
      const said = texts
        .accountClaimed({ at, provider: 'Google', ...removed })
        .text.replaceAll('\n', ' ')
        .match(/Removed with that: [^.]*\./)
      expect(said?.[0]).toBe(words)
    },
  )

  it('about a changed password does not say that the password was taken away', () => {
    expect(texts.passwordChanged({ at, password: true }).text).not.toContain('Removed')
  })

  it('tells nothing of where when that is not known', () => {
    expect(texts.passwordChanged({ at, ip: null }).text).not.toContain('Network address')
  })

  it('tells the time in UTC wherever the server stands', () => {
    const script = `import { passwordChanged } from './src/mail/templates.ts'; process.stdout.write(passwordChanged({ at: new Date(${at.getTime()}) }).text)`
    const text = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: join(import.meta.dirname, '../..'),
      env: { ...process.env, TZ: 'Pacific/Auckland', LC_ALL: 'de_DE.UTF-8' },
      encoding: 'utf8',
    })
    expect(text).toContain('When: 2 January 2026 at 23:04 UTC')
  })
})

describe('a token', () => {
  const tokenCases = cases.filter(([kind]) => withTokens.includes(kind))

  it.each(tokenCases.filter(([, how]) => how === 'with one'))(
    'is behind the # of a link to the frontend: %s, %s, T25',
    (kind, _how, { text, html }) => {
      const lines = text.split('\n').filter((line) => line.includes(token))
      expect(lines).toEqual([`${APP}/${kind}#token=${token}`])
      const { origin, pathname, search, hash } = new URL(lines[0] ?? '')
      expect([origin + pathname, search, hash]).toEqual([`${APP}/${kind}`, '', `#token=${token}`])
      expect(html).toContain(`<a href="${lines[0]}">${lines[0]}</a>`)
      expect(text).not.toContain('/api/')
    },
  )

  it.each(tokenCases.filter(([, how]) => how !== 'with one'))(
    'stands alone, and the mail says which request takes it: %s, %s',
    (_kind, _how, { text, html }) => {
      expect(text.split('\n').filter((line) => line.includes(token))).toEqual([token])
      expect(text.replaceAll('\n', ' ')).toMatch(
        / with this token, by POST \/api\/auth\/(verify-email|reset-password): /,
      )
      expect(text + html).not.toMatch(/https?:/)
    },
  )

  it.each([
    [1, '1 minute'],
    [30, '30 minutes'],
    [60, '1 hour'],
    [90, '90 minutes'],
    [1_440, '24 hours'],
    [2_880, '2 days'],
    [10_080, '7 days'],
  ])('of %i minutes is said to be good for so long: %s', (minutes, words) => {
    for (const appUrl of [APP, undefined])
      expect(texts.resetPassword({ token, minutes, appUrl }).text).toContain(
        `is good for ${words}, and for one use.`,
      )
  })

  it('stays in one piece even where a link is long', () => {
    const appUrl = `https://app.example.com/${'a'.repeat(200)}`
    expect(texts.resetPassword({ token, minutes: 30, appUrl }).text.split('\n')).toContain(
      `${appUrl}/reset-password#token=${token}`,
    )
  })
})

describe('what somebody typed', () => {
  const hostile = `<img src=x onerror=alert(1)>"'&amp;</p>\r\n\r\nYour account is blocked\u2028\u202ehttps://evil.example\0`
  const letters = [
    ['an address', texts.addressIsChanging({ at, newEmail: hostile })],
    ['an address', texts.addressWasChanged({ at, newEmail: hostile })],
    ['who invites', texts.invitation({ token, minutes: 30, invitedBy: hostile })],
    ['where from', texts.passwordChanged({ at, ip: hostile })],
  ] as const
  const harmless = [
    texts.addressIsChanging({ at, newEmail }),
    texts.addressWasChanged({ at, newEmail }),
    texts.invitation({ token, minutes: 30, invitedBy: newEmail }),
    texts.passwordChanged({ at, ip }),
  ]

  it.each(letters)('is text and nothing else on a page: %s', (_what, { html }) => {
    expect(html).toContain('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;amp;&lt;/p&gt;')
    const elements = (page: string) => [...page.matchAll(/<[^>]*>/g)].map(([element]) => element)
    expect(harmless.map((letter) => elements(letter.html))).toContainEqual(elements(html))
  })

  it.each(letters)('stays inside its own line or paragraph: %s', (_what, { text, html }) => {
    const paragraphs = (plain: string) => plain.split('\n\n').length
    expect(harmless.map((letter) => paragraphs(letter.text))).toContain(paragraphs(text))
    expect(text + html).not.toMatch(/[\0\r\u2028\u202e]/)
  })

  it('adds no line to the facts', () => {
    const lines = (letter: EmailContent) => letter.text.split('\n').length
    expect(lines(texts.passwordChanged({ at, ip: hostile }))).toBe(lines(texts.passwordChanged({ at, ip })))
  })
})

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import bcrypt from 'bcrypt'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createPasswords } from '../../src/auth/passwords/hashing.ts'
import { passwordProblem } from '../../src/auth/passwords/policy.ts'
import { createConcurrencyLimiter } from '../../src/http/limits/concurrency-limit.ts'
import { Problem } from '../../src/http/problem.ts'

const LIMITS = { concurrency: 2, queue: 64, waitMs: 10_000 }
const pepper = randomBytes(32).toString('base64')
const passwords = createPasswords({ pepper: { current: pepper }, cost: 4, ...LIMITS })
const right = { ok: true, upgrade: false }
const wrong = { ok: false, upgrade: false }

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('passwords', () => {
  it('verify as what they were hashed from, and as nothing else', async () => {
    const stored = await passwords.hash('correct horse battery')
    expect(await passwords.verify('correct horse battery', stored)).toEqual(right)
    expect(await passwords.verify('correct horse batterz', stored)).toEqual(wrong)
    expect(await passwords.verify('', stored)).toEqual(wrong)
  })

  it('are stored with their scheme, the cost asked for and a salt of their own', async () => {
    const [first, second] = await Promise.all([
      passwords.hash('same password'),
      passwords.hash('same password'),
    ])
    expect(first).toMatch(/^np1:\$2b\$04\$[./A-Za-z0-9]{53}$/)
    expect(first).not.toBe(second)
  })

  it('of any script verify, and are not normalised', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 256 }), async (password) => {
        expect(await passwords.verify(password, await passwords.hash(password))).toEqual(right)
      }),
      { numRuns: 25 },
    )
    const composed = await passwords.hash('caf\u00e9 au lait')
    expect(await passwords.verify('cafe\u0301 au lait', composed)).toEqual(wrong)
  })

  it.each([
    ['the 73rd byte', 'a'.repeat(72), 'b', 'c'],
    ['the 19th emoji', '🔑'.repeat(18), '🚪', '🚗'],
    ['the 256th character', 'ü'.repeat(255), 'a', 'b'],
    ['what follows a NUL', 'secret secret\0', 'a', 'b'],
  ])('differ by %s, T12', async (_what, common, one, other) => {
    const stored = await passwords.hash(common + one)
    expect(await passwords.verify(common + one, stored)).toEqual(right)
    expect(await passwords.verify(common + other, stored)).toEqual(wrong)
    expect(await passwords.verify(common, stored)).toEqual(wrong)
  })

  it('with lone surrogates are neither hashed nor right, T13', async () => {
    await expect(passwords.hash('twelve chars\ud800')).rejects.toThrow(TypeError)
    const stored = await passwords.hash('twelve chars\ufffd')
    expect(await passwords.verify('twelve chars\ud800', stored)).toEqual(wrong)
    const plain = await bcrypt.hash('twelve chars\ufffd', 4)
    expect(await passwords.verify('twelve chars\ud801', plain)).toEqual(wrong)
  })

  it.each([
    ['a NUL and more after it', (hash: string) => `${hash}\0evil`],
    ['a line end after it', (hash: string) => `${hash}\n`],
    ['an unknown scheme', (hash: string) => hash.replace('np1:', 'np2:')],
    ['its scheme taken away', (hash: string) => hash.replace('np1:', '')],
    ['its scheme twice', (hash: string) => `np1:${hash}`],
    ['white space before it', (hash: string) => ` ${hash}`],
    ['one character less', (hash: string) => hash.slice(0, -1)],
    ['another cost', (hash: string) => hash.replace('$04$', '$05$')],
    ['an impossible cost', (hash: string) => hash.replace('$04$', '$32$')],
    ['nothing in it', () => ''],
  ])('are not right against a stored hash with %s, T14', async (_what, change) => {
    expect(
      await passwords.verify('correct horse battery', change(await passwords.hash('correct horse battery'))),
    ).toEqual(wrong)
  })

  it('take the same pepper to verify', async () => {
    const others = createPasswords({
      pepper: { current: randomBytes(32).toString('base64') },
      cost: 4,
      ...LIMITS,
    })
    expect(
      await others.verify('correct horse battery', await passwords.hash('correct horse battery')),
    ).toEqual(wrong)
  })

  it('take the pepper that was replaced, and are to be renewed then, for as long as it is given', async () => {
    const stored = await passwords.hash('correct horse battery')
    const current = randomBytes(32).toString('base64')
    const renewing = createPasswords({ pepper: { current, previous: pepper }, cost: 4, ...LIMITS })
    expect(await renewing.verify('correct horse battery', stored)).toEqual({ ok: true, upgrade: true })
    expect(await renewing.verify('wrong horse battery', stored)).toEqual(wrong)
    const renewed = await renewing.hash('correct horse battery')
    const done = createPasswords({ pepper: { current }, cost: 4, ...LIMITS })
    expect(await done.verify('correct horse battery', renewed)).toEqual({ ok: true, upgrade: false })
    expect(await done.verify('correct horse battery', stored)).toEqual(wrong)
  })

  it('cost as many bcrypts where nothing is stored as where something is, also with two peppers, T16', async () => {
    const compare = vi.spyOn(bcrypt, 'compare')
    const pair = { current: randomBytes(32).toString('base64'), previous: pepper }
    const renewing = createPasswords({ pepper: pair, cost: 4, ...LIMITS })
    for (const stored of [undefined, await renewing.hash('correct horse battery')]) {
      compare.mockClear()
      await renewing.verify('wrong horse battery', stored)
      expect(compare).toHaveBeenCalledTimes(2)
    }
  })

  it('take a pepper worth the name', () => {
    expect(() => createPasswords({ pepper: { current: 'pepper' }, cost: 4, ...LIMITS })).toThrow(
      /^PASSWORD_PEPPER is too short/,
    )
  })

  it.each(['$2a$', '$2b$', '$2y$'])(
    'in plain bcrypt (%s) verify and are due for an upgrade',
    async (version) => {
      const imported = (await bcrypt.hash('correct horse battery', 6)).replace('$2b$', version)
      expect(await passwords.verify('correct horse battery', imported)).toEqual({ ok: true, upgrade: true })
      expect(await passwords.verify('correct horse batterz', imported)).toEqual(wrong)
    },
  )

  it('at a lower cost than now are due for an upgrade, at a higher one not', async () => {
    const [lower, higher] = await Promise.all(
      [4, 6].map((cost) =>
        createPasswords({ pepper: { current: pepper }, cost, ...LIMITS }).hash('correct horse battery'),
      ),
    )
    const now = createPasswords({ pepper: { current: pepper }, cost: 5, ...LIMITS })
    expect(await now.verify('correct horse battery', lower)).toEqual({ ok: true, upgrade: true })
    expect(await now.verify('correct horse batterz', lower)).toEqual(wrong)
    expect(await now.verify('correct horse battery', higher)).toEqual(right)
  })

  it('cost one bcrypt of the same cost where nothing is stored or what is stored is no hash, T16', async () => {
    const compare = vi.spyOn(bcrypt, 'compare')
    for (const stored of [undefined, '', 'not a hash'])
      expect(await passwords.verify('correct horse battery', stored)).toEqual(wrong)
    expect(await passwords.verify('\ud800', await passwords.hash('any'))).toEqual(wrong)
    expect(compare).toHaveBeenCalledTimes(4)
    for (const [, against] of compare.mock.calls) expect(against).toMatch(/^\$2b\$04\$[./A-Za-z0-9]{53}$/)
  })

  it('cost as much where nothing is stored as where something is: one bcrypt of the same cost, T16', async () => {
    const compare = vi.spyOn(bcrypt, 'compare')
    const costly = createPasswords({ pepper: { current: pepper }, cost: 6, ...LIMITS })
    for (const stored of [undefined, await costly.hash('correct horse battery')])
      await costly.verify('wrong horse battery', stored)
    expect(compare.mock.calls.map(([, against]) => against.slice(0, 7))).toEqual(['$2b$06$', '$2b$06$'])
  })

  it('beyond the bounds are turned away before any bcrypt, T15', async () => {
    const compare = vi.spyOn(bcrypt, 'compare')
    const narrow = createPasswords({
      pepper: { current: pepper },
      cost: 4,
      concurrency: 1,
      queue: 1,
      waitMs: 10_000,
    })
    const answers = await Promise.allSettled(
      Array.from({ length: 5 }, () => narrow.verify('correct horse battery', undefined)),
    )
    expect(answers.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
    ])
    expect(answers[4]).toMatchObject({ reason: expect.any(Problem) })
    expect(compare).toHaveBeenCalledTimes(2)
  })
})

describe('the limit of jobs', () => {
  /** Jobs that end when told. */
  function bench(limits: { concurrency: number; queue: number; waitMs: number }) {
    const run = createConcurrencyLimiter(limits)
    const started: number[] = []
    const end = new Map<number, (outcome?: Error) => void>()
    const submit = (id: number) =>
      run(() => {
        started.push(id)
        return new Promise<number>((resolve, reject) =>
          end.set(id, (error) => (error ? reject(error) : resolve(id))),
        )
      })
    return { submit, started, finish: (id: number, error?: Error) => end.get(id)?.(error) }
  }

  it('runs so many at once, and the rest in the order in which they came', async () => {
    const { submit, started, finish } = bench({ concurrency: 2, queue: 64, waitMs: 10_000 })
    const all = [1, 2, 3, 4, 5].map(submit)
    await vi.waitFor(() => expect(started).toEqual([1, 2]))
    finish(2)
    await vi.waitFor(() => expect(started).toEqual([1, 2, 3]))
    finish(1)
    finish(3)
    await vi.waitFor(() => expect(started).toEqual([1, 2, 3, 4, 5]))
    finish(4)
    finish(5)
    expect(await Promise.all(all)).toEqual([1, 2, 3, 4, 5])
  })

  it('turns away whoever finds the queue full, at once and with a time to come back', async () => {
    const { submit, started, finish } = bench({ concurrency: 1, queue: 2, waitMs: 10_000 })
    const served = [1, 2, 3].map(submit)
    await expect(submit(4)).rejects.toMatchObject({ code: 'unavailable', options: { retryAfter: 10 } })
    for (const id of [1, 2, 3]) {
      await vi.waitFor(() => expect(started).toContain(id))
      finish(id)
    }
    await Promise.all(served)
    expect(started).toEqual([1, 2, 3])
  })

  it('never runs a job whose wait is over', async () => {
    vi.useFakeTimers()
    const { submit, started, finish } = bench({ concurrency: 1, queue: 2, waitMs: 10_000 })
    const first = submit(1)
    const late = expect(submit(2)).rejects.toThrow(Problem)
    await vi.advanceTimersByTimeAsync(9_999)
    const third = submit(3)
    await vi.advanceTimersByTimeAsync(1)
    await late
    finish(1)
    await first
    await vi.advanceTimersByTimeAsync(0)
    expect(started).toEqual([1, 3])
    expect(vi.getTimerCount()).toBe(0)
    finish(3)
    expect(await third).toBe(3)
    expect(started).toEqual([1, 3])
  })

  it('gives back the place of a job that failed', async () => {
    const { submit, started, finish } = bench({ concurrency: 1, queue: 1, waitMs: 10_000 })
    const [failing, next] = [submit(1), submit(2)]
    finish(1, new Error('failed'))
    await expect(failing).rejects.toThrow('failed')
    await vi.waitFor(() => expect(started).toEqual([1, 2]))
    finish(2)
    expect(await next).toBe(2)
  })

  it('lets nobody slip in between one who leaves and the next in line', async () => {
    const run = createConcurrencyLimiter({ concurrency: 2, queue: 1_000, waitMs: 10_000 })
    let [running, most] = [0, 0]
    const job = async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise(setImmediate)
      running -= 1
    }
    await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        for (let turns = 0; turns < index % 5; turns += 1) await Promise.resolve()
        await run(job)
        await run(job)
      }),
    )
    expect(most).toBe(2)
    expect(running).toBe(0)
  })
})

describe('the password rules', () => {
  const ada = { email: 'ada.lovelace@example.com', fullName: 'Ada Lovelace' }

  it.each([
    ['eleven characters', 'elevenchars', 'too-short'],
    ['eleven emoji, though 44 bytes', '🔑'.repeat(11), 'too-short'],
    ['257 characters', 'ab7'.repeat(86).slice(1), 'too-long'],
    ['a NUL', 'twelve\0chars!', 'malformed'],
    ['a lone high surrogate', 'twelve chars\ud800', 'malformed'],
    ['a lone low surrogate', '\udfff twelve chars', 'malformed'],
    ['nothing', '', 'too-short'],
    ['one character, repeated', 'aaaaaaaaaaaa', 'predictable'],
    ['one emoji, repeated', '🔑'.repeat(12), 'predictable'],
    ['digits in order', '123456789012', 'predictable'],
    ['digits in reverse', '987654321098', 'predictable'],
    ['the alphabet', 'ABCdefghijkl', 'predictable'],
    ['a row of keys', 'qwertyuiopas', 'predictable'],
    ['a row of other keys', 'qwertzuiopü+', 'predictable'],
    ['columns of keys', '1qaz2wsx3edc', 'predictable'],
    ['two rows of keys, zigzag', '1q2w3e4r5t6y7u', 'predictable'],
    ['a Russian row of keys', 'йцукенгшщзхъ', 'predictable'],
    ['few characters, repeated', 'ab12ab12ab12', 'predictable'],
    ['few characters, repeated but for the end', 'hellohellohel', 'predictable'],
    ['rows of keys, digits and repetitions together', 'QWERasdf1234!!!!', 'predictable'],
    ['the e-mail address', 'Ada.Lovelace@Example.com', 'context-word'],
    ['the name and a year', 'AdaLovelace1815', 'context-word'],
    ['a word of the address and a tail', 'lovelace-0815', 'context-word'],
    ['a word of the address and digits in order', 'lovelace12345678', 'context-word'],
    ['the service twice', 'netpilotNetPilot', 'context-word'],
    ['the service and a common password', 'netpilotpassword', 'common'],
    ['a common password', 'administrator', 'common'],
    ['a common password in other letters', 'FinalFantasy', 'common'],
    ['a common password with digits and punctuation around it', '!Password123!!', 'common'],
    ['a common password and digits in order', 'dragon123456', 'common'],
    ['a common password, disguised as many do, and a year', 'P@ssw0rd2024!', 'common'],
    ['a common password, a year and punctuation', 'summer2026!!', 'common'],
    ['a common password between years', '2026summer1999', 'common'],
    ['a passphrase that everybody has read of', 'correcthorsebatterystaple', 'common'],
    ['the same, with a year', 'CorrectHorseBatteryStaple2026!', 'common'],
    ['the same, with spaces', 'correct horse battery staple', 'common'],
    ['the same, in capitals and with hyphens', 'CORRECT-HORSE-BATTERY-STAPLE', 'common'],
    ['the same, with more than one space, and punctuation', ' Correct  Horse  Battery  Staple! ', 'common'],
    ['years', '1984-2001-2026', 'predictable'],
    ['a common password with digits in it, and punctuation', 'trustno1!!!!', 'common'],
    ['a common password twice', 'monkeymonkey', 'common'],
    ['a common password and more, twice', 'Sunshine1!Sunshine1!', 'common'],
  ])('refuse %s', (_what, password, code) => {
    expect(passwordProblem(password, ada)).toBe(code)
  })

  it.each([
    ['twelve characters of one kind', 'hwqzrtiokpbs'],
    ['twelve digits', '730194628557'],
    ['words that are common each', 'correct horse'],
    ['four of them, and a year', 'violet anchor 2026 pillow'],
    ['two common words', 'monkeysunshine'],
    ['a common word and six characters of which none is a surprise less', 'dragon-81x47'],
    ['a common word among others', 'my dragon has 2 heads'],
    ['twelve emoji', '🔑🚪🚗🌍🎈🐟🍞🪁🎻🧊🌵🛶'],
    ['256 characters outside the basic plane', '𝄞𝄢𝄡𝅘𝅥𝅮𝄽𝄾𝄿𝄐'.repeat(29).slice(0, 512)],
    ['white space at the ends', '  correct horse  '],
    ['a context word among much else', 'lovelace likes 7 green owls'],
    ['long digits around a common word', '5830dragon2917'],
  ])('allow %s', (_what, password) => {
    expect(passwordProblem(password, ada)).toBeUndefined()
  })

  it('refuse hardly anything that chance makes', () => {
    const alphabets = [
      'abcdefghijklmnopqrstuvwxyz',
      '0123456789',
      '0123456789abcdef',
      'ABCDEFGHJKLMNPQRSTUVWXYZ23456789!?#',
    ]
    for (const alphabet of alphabets) {
      const made = Array.from({ length: 500 }, () =>
        [...randomBytes(12)].map((byte) => alphabet[byte % alphabet.length]).join(''),
      )
      expect(
        made.filter((password) => passwordProblem(password) !== undefined).length,
        alphabet,
      ).toBeLessThan(5)
    }
  })

  it('refuse every password of the list that is long enough, however short that is', () => {
    const list = readFileSync(
      new URL('../../src/auth/passwords/common-passwords.txt', import.meta.url),
      'utf8',
    ).split('\n')
    const common = list.filter((line) => line.length >= 8 && !line.startsWith('# '))
    expect(common.length).toBeGreaterThan(10_000)
    expect(
      common.filter((password) => passwordProblem(password.toUpperCase(), { minLength: 8 }) === undefined),
    ).toEqual([])
    expect(list.slice(0, 3)).toMatchObject([
      expect.stringMatching(/^# /),
      expect.stringMatching(/licence/),
      '#',
    ])
  })

  it('take another minimum, and no context', () => {
    expect(passwordProblem('eigtchrs', { minLength: 8 })).toBeUndefined()
    expect(passwordProblem('correct horse', { minLength: 16 })).toBe('too-short')
    expect(passwordProblem('correct horse')).toBeUndefined()
  })

  it('hold no short name against anyone', () => {
    expect(passwordProblem('bozabozuqira', { email: 'a@b.io', fullName: 'Bo' })).toBeUndefined()
  })
})

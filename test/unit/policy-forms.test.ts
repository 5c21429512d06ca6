/**
 * The policy as text and as an nft script: what is in them. That nft and the kernel do as they say is
 * test/system/nft.test.ts.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toNftScript } from '../../src/modules/policy/nft.ts'
import { toTextLines } from '../../src/modules/policy/text.ts'
import { ALLOW, BLOCK, documentOf, entryOf, limit, macOf } from '../support/documents.ts'

const NOW = new Date('2026-10-25T00:30:00Z')
const inSeconds = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)
const [TV, PHONE, TABLET, DOCK] = [macOf(1), macOf(2), macOf(3), macOf(4)] as const

const script = (...args: Parameters<typeof documentOf>) => toNftScript(documentOf(...args), NOW)
/** The elements of a map or set of a script, undefined where there is no such map. */
const elementsOf = (text: string, name: string) =>
  new RegExp(`(?:map|set) ${name} \\{([^}]*?)\\n {2}(?: {2}\\}\\n {2})?\\}`, 's')
    .exec(text)?.[1]
    ?.split('\n')
    .filter((line) => line.startsWith('      '))
    .map((line) => line.trim())

describe('the text form', () => {
  it('has a line for every MAC of every entry, sorted', () => {
    const devices = [
      entryOf([TABLET, PHONE], limit(2000)),
      entryOf([DOCK], ALLOW),
      entryOf([], BLOCK),
      entryOf([TV], BLOCK),
    ]
    expect(toTextLines(documentOf(devices, NOW))).toBe(
      `${TV} block\n${PHONE} limit 2000\n${TABLET} limit 2000\n${DOCK} allow\n`,
    )
  })

  it.each([
    [ALLOW, ''],
    [BLOCK, '* block\n'],
    [limit(512), '* limit 512\n'],
    [{ decision: 'allow' as const, rate: 90_000 }, '* allow 90000\n'],
  ])('says what holds for the rest unless that is plain allow: %j', (unlisted, line) => {
    expect(toTextLines(documentOf([], NOW, unlisted))).toBe(line)
    expect(toTextLines(documentOf([entryOf([TV], ALLOW)], NOW, unlisted))).toBe(`${TV} allow\n${line}`)
  })
})

describe('the nft form', () => {
  it('is a whole own table, made anew in one transaction, named after its revision', () => {
    const lines = script([], NOW).split('\n')
    expect(lines.slice(0, 4)).toEqual([
      '# NetPilot policy Zk3vQ1 of router 0190c0de-0000-7000-8000-000000000001 at 2026-10-25T00:30:00.000Z',
      'add table inet netpilot',
      'delete table inet netpilot',
      'table inet netpilot {',
    ])
    expect(lines.slice(-2)).toEqual(['}', ''])
  })

  it('blocks by MAC what a device sends and by connection mark what comes back', () => {
    const text = script([entryOf([TV], BLOCK)], NOW)
    expect(elementsOf(text, 'sent_0')).toEqual([`${TV} : drop,`])
    expect(elementsOf(text, 'marks')).toEqual([`${TV} : 0x4e000001,`])
    expect(elementsOf(text, 'returned_0')).toEqual(['0x4e000001 : drop,'])
  })

  it('gives all MACs of a device one mark, and devices whose last octets are the same different ones', () => {
    const devices = [
      entryOf(['06:00:00:00:00:01'], BLOCK),
      entryOf(['02:00:00:00:00:01', 'aa:00:00:00:00:09'], BLOCK),
    ]
    expect(elementsOf(script(devices, NOW), 'marks')).toEqual([
      '02:00:00:00:00:01 : 0x4e000001,',
      '06:00:00:00:00:01 : 0x4e000002,',
      'aa:00:00:00:00:09 : 0x4e000001,',
    ])
  })

  it('ends a pause by a timeout, counted from the moment of the script', () => {
    const pause = [entryOf([TV], BLOCK, [{ at: inSeconds(90), ...ALLOW }])]
    expect(elementsOf(script(pause, NOW), 'sent_0')).toEqual([`${TV} timeout 90s : drop,`])
    expect(elementsOf(toNftScript(documentOf(pause, NOW), inSeconds(60.5)), 'sent_0')).toEqual([
      `${TV} timeout 30s : drop,`,
    ])
    expect(elementsOf(toNftScript(documentOf(pause, NOW), inSeconds(89.99)), 'sent_0')).toEqual([
      `${TV} timeout 1s : drop,`,
    ])
    expect(elementsOf(toNftScript(documentOf(pause, NOW), inSeconds(90)), 'sent_0')).toBeUndefined()
  })

  it('ends a pause that is longer than what the document looks ahead', () => {
    const pause = { ...entryOf([TV], BLOCK), until: inSeconds(864_000) }
    expect(elementsOf(script([pause], NOW), 'sent_0')).toEqual([`${TV} timeout 864000s : drop,`])
    expect(elementsOf(script([pause], NOW, BLOCK), 'sent_1')).toEqual([`${TV} : accept,`])
  })

  it('keeps to the timeouts that nft reads', () => {
    const pause = entryOf([TV], BLOCK, [{ at: new Date('9999-12-31T23:59:59Z'), ...ALLOW }])
    expect(elementsOf(script([pause], NOW), 'sent_0')).toEqual([`${TV} timeout 31536000s : drop,`])
  })

  it('holds the outcomes to come in the order of time, each until the next', () => {
    const upcoming = [
      { at: inSeconds(60), ...BLOCK },
      { at: inSeconds(120), ...limit(800) },
    ]
    const text = script([entryOf([TV], ALLOW, upcoming)], NOW)
    expect(elementsOf(text, 'sent_0')).toEqual([`${TV} timeout 60s : accept,`])
    expect(elementsOf(text, 'sent_1')).toEqual([`${TV} timeout 120s : drop,`])
    expect(elementsOf(text, 'sent_2')).toEqual([`${TV} : goto rate_800,`])
    expect(elementsOf(text, 'returned_1')).toEqual(['0x4e000001 timeout 120s : drop,'])
    expect(text).toMatch(/ether saddr vmap @sent_0\n *ether saddr vmap @sent_1\n *ether saddr vmap @sent_2\n/)
  })

  it('polices each rate once, in bytes, each device and direction for itself', () => {
    const text = script(
      [entryOf([TV], limit(800)), entryOf([PHONE], limit(800)), entryOf([TABLET], limit(64))],
      NOW,
    )
    expect(text.match(/update .*/g)).toEqual([
      'update @rate_64 { ct mark . ct direction limit rate over 8000 bytes/second burst 64 kbytes } drop',
      'update @rate_800 { ct mark . ct direction limit rate over 100000 bytes/second burst 64 kbytes } drop',
    ])
  })

  it('keeps to the rates that the kernel takes', () => {
    const text = script([entryOf([TV], limit(0)), entryOf([PHONE], limit(2_147_483_647))], NOW)
    expect(elementsOf(text, 'sent_0')).toEqual([`${TV} : goto rate_1,`, `${PHONE} : goto rate_100000000,`])
  })

  it('leaves out what is allowed where the rest is, and marks none of its connections where it is not', () => {
    expect(elementsOf(script([entryOf([TV], ALLOW)], NOW), 'sent_0')).toBeUndefined()
    const text = script([entryOf([TV], ALLOW), entryOf([PHONE], BLOCK)], NOW, BLOCK)
    expect(elementsOf(text, 'sent_0')).toEqual([`${TV} : accept,`, `${PHONE} : drop,`])
    expect(elementsOf(text, 'marks')).toEqual([`${PHONE} : 0x4e000002,`])
    expect(text).toContain('ct mark 0x4f000000-0x4fffffff drop')
  })

  it('names a MAC once, whoever has it', () => {
    const text = script([entryOf([TV, PHONE], BLOCK), entryOf([TV], BLOCK)], NOW)
    expect(elementsOf(text, 'sent_0')).toEqual([`${TV} : drop,`, `${PHONE} : drop,`])
    expect(elementsOf(text, 'marks')).toHaveLength(2)
  })

  it('does not depend on any order, and holds nothing that a person wrote', () => {
    const outcome = fc.oneof(fc.constantFrom(ALLOW, BLOCK), fc.integer({ min: 1, max: 9 }).map(limit))
    const steps = fc.array(fc.record({ wait: fc.integer({ min: 1, max: 99 }), outcome }), { maxLength: 3 })
    const devices = fc
      .uniqueArray(fc.integer({ min: 0, max: 0xffffff }), { maxLength: 12 })
      .chain((numbers) => fc.tuple(...numbers.map((number) => fc.tuple(fc.constant(number), outcome, steps))))
      .map((rows) =>
        rows.map(([number, now, later]) => {
          const upcoming = later
            .sort((a, b) => a.wait - b.wait)
            .map((step) => ({ at: inSeconds(step.wait), ...step.outcome }))
          return entryOf([macOf(number), `06${macOf(number).slice(2)}`], now, upcoming)
        }),
      )
    fc.assert(
      fc.property(devices, outcome, (entries, unlisted) => {
        const turned = entries.map((entry) => ({ ...entry, macs: entry.macs.toReversed() })).reverse()
        const text = script(entries, NOW, unlisted)
        expect(script(turned, NOW, unlisted)).toBe(text)
        expect(text).not.toContain('flush')
        expect(toTextLines(documentOf(turned, NOW, unlisted))).toBe(
          toTextLines(documentOf(entries, NOW, unlisted)),
        )
      }),
    )
  })
})

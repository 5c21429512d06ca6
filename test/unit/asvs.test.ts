/**
 * The table of docs/asvs.md: a row for each requirement of levels 1 and 2, and nothing named that does not
 * exist.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const table = read('docs/asvs.md')
const rows = [...table.matchAll(/^\| (\d+\.\d+\.\d+) \| (.*?) \| (.*) \|$/gm)].map(
  ([, id = '', state = '', words = '']) => ({
    id,
    state,
    words,
    named: [...words.matchAll(/`((?:test|docs|src)\/[^`]+|package-lock\.json)`/g)].map(
      ([, path = '']) => path,
    ),
  }),
)

/**
 * How many requirements of levels 1 and 2 each section of the standard begins with; those of level 3 stand at
 * the ends.
 */
const SECTIONS = `6.1:3 6.2:12 6.3:4 6.4:4 6.5:5 6.6:3 6.8:4 7.1:3 7.2:4 7.3:2 7.4:5 7.5:2 7.6:2 8.1:2 8.2:3 8.3:1 8.4:1 9.1:3 9.2:4
  10.1:2 10.2:2 10.3:4 10.4:11 10.5:5 10.6:2 10.7:3 11.1:2 11.2:3 11.3:3 11.4:4 11.5:1 11.6:1 12.1:3 12.2:2 12.3:4 13.1:1 13.2:5 13.3:2
  13.4:5 14.1:2 14.2:4 14.3:3 15.1:3 15.2:3 15.3:7 16.1:1 16.2:5 16.3:4 16.4:3 16.5:3`

describe('the table of ASVS', () => {
  it('has a row for each requirement, in order', () => {
    const ids = SECTIONS.split(/\s+/).flatMap((entry) => {
      const [section, count] = entry.split(':')
      return Array.from({ length: Number(count) }, (_, index) => `${section}.${index + 1}`)
    })
    expect(rows.map(({ id }) => id)).toEqual(ids)
  })

  it('knows four states', () => {
    expect(rows.filter(({ state }) => !['met', 'partly', 'not met', 'n/a'].includes(state))).toEqual([])
  })

  it('names where to see that a requirement is met', () => {
    expect(
      rows.filter(({ state, named }) => state === 'met' && named.length === 0).map(({ id }) => id),
    ).toEqual([])
  })

  it('names, where one is not met, the decision that says why', () => {
    const unexplained = rows.filter(
      ({ state, words }) => state === 'not met' && !words.includes('`docs/decisions/'),
    )
    expect(unexplained.map(({ id }) => id)).toEqual([])
  })

  it('names only what exists', () => {
    const named = new Set(rows.flatMap((row) => row.named))
    expect(named.size).toBeGreaterThan(40)
    expect([...named].filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it('names only headings that the page on security has', () => {
    const headings = read('docs/security.md')
    const quoted = [...table.matchAll(/`docs\/security\.md` \("([^"]+)"\)/g)].map(
      ([, heading = '']) => heading,
    )
    expect(quoted.length).toBeGreaterThan(8)
    expect(
      quoted.filter((heading) => !headings.includes(`## ${heading}`) && !headings.includes(`**${heading}`)),
    ).toEqual([])
  })
})

describe('the pages beside it', () => {
  it.each([
    ...[
      'docs/asvs.md',
      'docs/security.md',
      'docs/isolation.md',
      'docs/threats.md',
      'docs/agents.md',
      'docs/operate.md',
      'docs/accounts.md',
      'docs/own-postgres.md',
      'docs/architecture.md',
      'docs/decisions/0018-where-asvs-asks-for-more.md',
    ],
    ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'],
  ])('link to what exists: %s', (page) => {
    const links = [...read(page).matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, link = '']) => link)
    const ours = links.filter((link) => !link.startsWith('https:'))
    expect(ours.filter((link) => !existsSync(join(root, dirname(page), link)))).toEqual([])
    const parts = [...read(page).matchAll(/\]\(([^)#:]*)#([^)]+)\)/g)]
    const anchorsOf = (target: string) =>
      [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replace(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      )
    expect(
      parts.filter(
        ([, link, anchor = '']) => !anchorsOf(link ? join(dirname(page), link) : page).includes(anchor),
      ),
    ).toEqual([])
    const named = [...read(page).matchAll(/`((?:src|test|drizzle|docs|scripts)\/[^`*<]+)`/g)].map(
      ([, path = '']) => path,
    )
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})

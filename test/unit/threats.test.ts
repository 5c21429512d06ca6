/** docs/threats.md: each code that a test names, with the files that name it, and no others. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

it('each code that a test names is explained, and each that is explained is named there', () => {
  const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts'),
  )
  // One capital and one or two digits, standing alone: no part of an address.
  const named = tests.flatMap((path) =>
    [...read(`test/${path}`).matchAll(/(?<![\w:.%-])[A-Z]\d{1,2}(?!\w|[:%.-]\w)/g)].map(
      ([code]) => `${code} test/${path}`,
    ),
  )
  const explained = [...read('docs/threats.md').matchAll(/^\| ([A-Z]\d+) \| .+ \| .+ \| (.+) \|$/gm)].flatMap(
    ([, code, files = '']) => [...files.matchAll(/`([^`]+)`/g)].map(([, file]) => `${code} ${file}`),
  )
  expect(named.length).toBeGreaterThan(100)
  expect(explained.sort()).toEqual([...new Set(named)].sort())
})

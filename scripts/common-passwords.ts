/**
 * Writes src/auth/passwords/common-passwords.txt from the npm package @zxcvbn-ts/language-common:
 * `node scripts/common-passwords.ts <folder of the unpacked package>`. It omits passwords that the rules
 * refuse anyway, and those that are too short to be a password or the main part of one.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isCommon } from '../src/auth/passwords/common-passwords.ts'
import { isPredictable } from '../src/auth/passwords/guessability.ts'

/** The lowest minimum length that an operator may set. */
const MIN_LENGTH = 8

const [folder = '.'] = process.argv.slice(2)
const read = (path: string) => readFile(join(folder, path), 'utf8')
const { name, version } = JSON.parse(await read('package.json')) as { name: string; version: string }
/** Ordered by frequency, the most common first. */
const passwords = JSON.parse(await read('src/passwords.json')) as string[]

const kept = new Set<string>()
for (const password of passwords.map((text) => text.toLowerCase())) {
  const beginsAndEndsWithLetters = /^\p{L}.*\p{L}$/u.test(password)
  const isRefusedAnyway =
    (password.length >= MIN_LENGTH && isPredictable(password)) || isCommon(password, kept)
  if ((password.length >= MIN_LENGTH || beginsAndEndsWithLetters) && !isRefusedAnyway) kept.add(password)
}

const header = `Passwords that many people have, the commonest first, in lower case; made by scripts/common-passwords.ts on ${new Date().toISOString().slice(0, 10)}
from ${name} ${version} (npm), without what the rules of src/auth/passwords/policy.ts refuse anyway. Its licence:

${(await read('LICENSE.txt')).trim()}`
const comment = header.split('\n').map((line) => `# ${line}`.trim())
await writeFile(
  new URL('../src/auth/passwords/common-passwords.txt', import.meta.url),
  [...comment, ...kept, ''].join('\n'),
)
process.stdout.write(`${kept.size} of ${passwords.length} passwords\n`)

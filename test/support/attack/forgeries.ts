/**
 * Values of the setting that carries the identity, as an attacker would forge them who can read their own and
 * knows the ids of others.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Somebody } from '../fixtures.ts'

export type Forgery = { what: string; value: string }
/** The order: kind, user, role, router, scopes, proof, seconds, MAC: see drizzle/0003_seal.sql. */
const PARTS = ['kind', 'user', 'role', 'router', 'scopes', 'proof', 'time', 'MAC']
const MAC = PARTS.length - 1

/**
 * @param own the attacker's own identity, sealed for the same transaction in which the forgeries are tried
 */
export function forgeriesOf(own: string, bob: Somebody): Forgery[] {
  const parts = own.split('|')
  const mac = parts[MAC] ?? ''
  const changed = (changes: Record<number, string>) =>
    parts.map((part, index) => changes[index] ?? part).join('|')
  const body = (changes: Record<number, string>) => changed(changes).slice(0, -mac.length - 1)
  const asBob = { 1: bob.userId }
  const sha256 = (...texts: (string | Buffer)[]) =>
    texts.reduce((hash, text) => hash.update(text), createHash('sha256')).digest('hex')

  const guesses: Record<string, string> = {
    none: '',
    'of zeros': '0'.repeat(64),
    random: randomBytes(32).toString('hex'),
    'a plain digest': sha256(body(asBob)),
    'a digest of a digest': sha256(Buffer.from(sha256(body(asBob)), 'hex')),
    'with keys of zeros': sha256(Buffer.alloc(64), Buffer.from(sha256(Buffer.alloc(64), body(asBob)), 'hex')),
  }
  return [
    { what: 'nothing but the user', value: bob.userId },
    { what: 'nothing but kind and user', value: `user|${bob.userId}` },
    { what: 'no MAC', value: body(asBob) },
    { what: 'an open end', value: `${body(asBob)}|` },
    { what: 'the own MAC', value: changed(asBob) },
    ...Object.entries(guesses).map(([what, guess]) => ({
      what: `a MAC that is ${what}`,
      value: changed({ ...asBob, [MAC]: guess }),
    })),
    ...[1, 32, 63].map((length) => ({
      what: `the own MAC cut to ${length}`,
      value: changed({ ...asBob, [MAC]: mac.slice(0, length) }),
    })),
    { what: 'the own MAC twice', value: changed({ ...asBob, [MAC]: mac + mac }) },
    { what: 'the own identity and more', value: `${own}|` },
    { what: 'the own identity after another', value: `user|${bob.userId}|${own}` },
    { what: 'another before the own MAC', value: `${own.slice(0, -mac.length)}user|${bob.userId}|${mac}` },
    { what: 'the own identity in capitals', value: own.toUpperCase() },
    { what: 'the own identity and a space', value: `${own} ` },
    { what: 'a role that one does not have', value: changed({ 2: 'admin' }) },
    { what: 'the kind of an agent', value: changed({ 0: 'agent', 1: bob.userId, 3: bob.routerId }) },
    { what: 'the own kind changed', value: changed({ 0: 'agent', 3: bob.routerId }) },
    { what: 'scopes that one does not have', value: changed({ 4: 'everything' }) },
    { what: 'the time to come', value: changed({ 6: '9999999999' }) },
    { what: 'no time', value: changed({ ...asBob, 6: 'NaN' }) },
    { what: 'separators only', value: '|'.repeat(MAC) },
    { what: 'one separator', value: '|' },
    { what: 'an SQL fragment', value: `user|${bob.userId}' or true --` },
    // A missing part must not make the whole comparison null.
    ...subsets(PARTS.length).flatMap((missing) => {
      const names = missing.map((index) => PARTS[index]).join(', ')
      const emptied = changed({ ...asBob, ...Object.fromEntries(missing.map((index) => [index, ''])) })
      const dropped = changed(asBob)
        .split('|')
        .filter((_, index) => !missing.includes(index))
        .join('|')
      return [
        { what: `empty: ${names}`, value: emptied },
        { what: `missing: ${names}`, value: dropped },
      ]
    }),
  ]
}

/** Every set of indexes below `size` except the empty one. */
const subsets = (size: number): number[][] =>
  Array.from({ length: 2 ** size - 1 }, (_, bits) =>
    Array.from({ length: size }, (_, index) => index).filter((index) => ((bits + 1) >> index) & 1),
  )

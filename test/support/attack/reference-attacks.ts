/**
 * R9: foreign keys do not consult row security, so the attacks point each of the catalogue's foreign keys at
 * rows of another person.
 */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Trial } from '../matrix.ts'
import type { Ground } from './attack-database.ts'
import { type Attacker, type AttackRole, becomeAttacker, personOf, STANCES } from './attacker.ts'
import { freshValue, ofSomebody, readTargets, type Sample, sampleOf, type Target } from './targets.ts'

type Reference = { name: string; of: string; to: string; columns: string[]; toColumns: string[] }
/** A row of the attacker that refers, and a row of another person that it is to refer to. */
type Aim = { target: Target; mine: Sample; theirs: Sample }

const id = pg.escapeIdentifier
/** "No such row", or no right to write at all. */
const REFUSALS = ['23503', '42501']
/** The row breaks another rule before PostgreSQL checks its references. */
const INCONCLUSIVE = ['23502', '23514']

export async function attackReferences(
  ground: Ground,
  isAttacked: (reference: Reference) => boolean = () => true,
): Promise<Trial[]> {
  const { superuser, ada, bob } = ground
  const targets = new Map((await readTargets(ground)).map((target) => [target.name, target]))
  const names = (key: string, of: string) =>
    `array(select a.attname::text from unnest(${key}) with ordinality k (attnum, nth)
      join pg_attribute a on a.attrelid = ${of} and a.attnum = k.attnum order by nth)`
  const { rows: references } = await superuser.query<Reference>(
    `select conname as name, conrelid::regclass::text as of, confrelid::regclass::text as to,
        ${names('conkey', 'conrelid')} as columns, ${names('confkey', 'confrelid')} as "toColumns"
      from pg_constraint where contype = 'f' and conparentid = 0 order by 2, 1`,
  )
  const aimed = new Map<string, Aim>()
  for (const { name, of, to } of references) {
    const target = targets.get(of) as Target
    const [mine, theirs] = [
      await sampleOf(ground, target, ada),
      await sampleOf(ground, targets.get(to) as Target, bob),
    ]
    if (!mine || !theirs)
      throw new Error(
        `Nobody has a row in ${of} or ${to}: let createUserWithAllRows (test/support/fixtures.ts) write one`,
      )
    aimed.set(name, { target, mine, theirs })
  }
  const trials: Trial[] = []
  for (const stance of STANCES.filter((each) => personOf(each, ground) === ada)) {
    const attacker = await becomeAttacker(ground, stance)
    for (const reference of references.filter(isAttacked)) {
      const { target, mine, theirs } = aimed.get(reference.name) as Aim
      await attacker.begin()
      for (const part of partsOf(reference, target)) {
        for (const verb of ['insert', 'update'] as const) {
          const answers: string[] = []
          for (const valueIn of [(column: string) => theirs[column] ?? 'null', () => `'${randomUUID()}'`]) {
            const planted = Object.fromEntries(part.map(([column, toColumn]) => [column, valueIn(toColumn)]))
            const rows = [planted, { ...withoutOthers(reference, target), ...planted }]
            const write = (row: Sample) =>
              verb === 'insert'
                ? insert(target, stance.role, mine, row)
                : update(target, row, ofSomebody(target, ada))
            answers.push(await firstConclusive(attacker, rows.map(write)))
          }
          // The answers must not distinguish another person's row from one that does not exist.
          const [answer = '', random = ''] = answers
          const isRefused = answer === random && [...REFUSALS, '0'].includes(answer)
          trials.push({
            matrix: 'references to rows of somebody else',
            row: `${reference.of} (${reference.columns.join(', ')})`,
            column: stance.role,
            power: isRefused ? undefined : `${stance.role} REFERENCES ${reference.name}`,
            detail: `${stance.role}, identity of ${stance.identity}: ${verb} ${part.map(([column]) => column).join(', ')} → ${answer}, and ${random} for a random id`,
          })
        }
      }
      await attacker.commit()
    }
    await attacker.leave()
  }
  return trials
}

/**
 * All columns of a reference except the owner, and each alone. The row attacks cover a reference to the owner
 * itself.
 */
function partsOf(
  { columns, toColumns }: Reference,
  { owner }: Target,
): [column: string, toColumn: string][][] {
  const pairs = columns
    .map((column, index): [string, string] => [column, toColumns[index] ?? ''])
    .filter(([column]) => column !== owner)
  return [pairs, ...(pairs.length > 1 ? pairs.map((pair) => [pair]) : [])].filter((part) => part.length > 0)
}

/** Removes the other reference where a row may have only one of several. */
const withoutOthers = (reference: Reference, { constrained, nullable }: Target): Sample =>
  Object.fromEntries(
    constrained
      .filter((column) => nullable.includes(column) && !reference.columns.includes(column))
      .map((column) => [column, 'null']),
  )

/** The attacker's own row once more, with other values in it. */
function insert(
  { sql, owner, columns, unique, constrained, rights }: Target,
  role: AttackRole,
  mine: Sample,
  planted: Sample,
): string {
  const identifying = unique.filter((column) => column !== owner && !constrained.includes(column))
  const fresh = Object.fromEntries(
    identifying.map((column) => [column, freshValue(columns[column] ?? '') ?? mine[column] ?? 'null']),
  )
  const row: Sample = { ...mine, ...fresh, ...planted }
  const insertable = rights[role].INSERT.length > 0 ? rights[role].INSERT : Object.keys(columns)
  const named = [...new Set([...insertable, ...Object.keys(planted)])]
  return `insert into ${sql} (${named.map(id).join(', ')}) values (${named.map((column) => row[column]).join(', ')})`
}

const update = ({ sql }: Target, planted: Sample, condition: string) =>
  `update ${sql} set ${Object.entries(planted)
    .map(([column, value]) => `${id(column)} = ${value}`)
    .join(', ')} where ${condition}`

/** The first SQLSTATE, or number of rows, that says something about the reference. */
async function firstConclusive(attacker: Attacker, statements: string[]): Promise<string> {
  let answer = ''
  for (const statement of statements) {
    const { code, rows } = await attacker.attempt(statement)
    answer = code ?? String(rows)
    if (!INCONCLUSIVE.includes(answer)) break
  }
  return answer
}

/**
 * Data that is not returned may still leak: by an error, by a plan and its counts, by an estimate, or by
 * PostgreSQL's counters. The attacks compare each column twice: once a row of another person meets the
 * condition, and once no row does. Both must look the same. They also search for values, bit by bit, by any
 * difference.
 */
import pg from 'pg'
import type { Somebody } from '../fixtures.ts'
import type { Trial } from '../matrix.ts'
import type { Ground } from './attack-database.ts'
import { openingOf, personOf, type Stance } from './attacker.ts'
import { OPEN } from './expected-access.ts'
import { ofSomebody, readTargets, type Target } from './targets.ts'

/** Values of each type at both ends, beside the stored one; of text, values of the same length. */
const ENDS: Record<string, string[]> = {
  uuid: ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  'timestamp with time zone': ['-infinity', 'infinity'],
  'time without time zone': ['00:00', '24:00'],
  integer: ['-2147483648', '2147483647'],
  smallint: ['-32768', '32767'],
  bigint: ['-9223372036854775808', '9223372036854775807'],
  macaddr: ['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff'],
  inet: ['0.0.0.0', '255.255.255.255'],
  bytea: ['\\x', `\\x${'ff'.repeat(40)}`],
  jsonb: ['null', '{}'],
  'text[]': ['{!}', '{~}'],
  'uuid[]': ['{ffffffff-ffff-ffff-ffff-ffffffffffff}'],
  'inet[]': ['{0.0.0.0}', '{255.255.255.255}'],
  boolean: ['false', 'true'],
}

/** The planner settings with which an attacker finds a row by its place, or by a value. */
const PLANNERS = {
  place: [[], ['enable_indexscan', 'enable_indexonlyscan', 'enable_bitmapscan', 'enable_tidscan']],
  value: [
    [],
    ['enable_seqscan', 'enable_bitmapscan', 'enable_sort', 'enable_incremental_sort'],
    ['enable_seqscan', 'enable_indexscan', 'enable_indexonlyscan'],
  ],
}

const id = pg.escapeIdentifier
const literal = (value: string, type: string) => `${pg.escapeLiteral(value)}::${type}`

/** A pair of conditions whose only difference is whether the other person's row meets them. */
type Question = { column: string; how: string; by: keyof typeof PLANNERS; isMet: string; isNot: string }
export type OracleOptions = {
  targets?: (target: Target) => boolean
  stances: Stance[]
}

/**
 * Whether the role may by design read the rows of all people there. That includes rows that the login sees
 * only before sign-in.
 */
const isOpenTo = ({ role, identity }: Stance, { name }: Target): boolean =>
  `${role} SELECT ${name}` in OPEN && !(role === 'admin' && identity !== 'administrator')

export async function attackOracles(
  ground: Ground,
  { targets: isTarget = () => true, stances }: OracleOptions,
) {
  const targets = (await readTargets(ground)).filter(
    (target) => target.kind === 'table' && target.owner !== null && isTarget(target),
  )
  const trials: Trial[] = []
  for (const stance of stances) {
    const observer = openObserver(ground, stance)
    for (const target of targets.filter(
      (each) => each.rights[stance.role].SELECT.length > 0 && !isOpenTo(stance, each),
    )) {
      const all = await questionsAbout(ground, target, stance)
      for (const [way, planner] of Object.entries(PLANNERS).flatMap(([by, planners]) =>
        planners.map((each) => [by, each] as const),
      )) {
        const questions = all.filter(({ by }) => by === way)
        const seen = await observer.explain(
          target,
          planner,
          questions.flatMap(({ column, isMet, isNot }) =>
            [isMet, isNot].map((condition) => ({ column, condition })),
          ),
        )
        for (const [index, { column, how, isMet, isNot }] of questions.entries()) {
          const [met = '', not = ''] = seen.slice(2 * index)
          trials.push({
            matrix: 'rows of others told from none',
            row: target.name,
            column: `${stance.role}${stance.identity.startsWith('nobody') ? ', nobody' : ''}`,
            power: met === not ? undefined : powerOf(stance, target, column, met, not),
            detail: `${stance.role}, identity of ${stance.identity}, without ${planner.join(', ') || 'nothing'}: ${how}: ${isMet}\n${met}\n${isNot}\n${not}`,
          })
        }
      }
    }
  }
  return trials
}

/**
 * Ids are random, so an attacker who asks for one already knows it. An attacker could guess everything else.
 */
function powerOf(
  { role }: Stance,
  { name, columns }: Target,
  column: string,
  met: string,
  not: string,
): string {
  const isId = columns[column] === 'uuid'
  const isEstimate = readOf(met) === readOf(not)
  return isId
    ? `${role} ${isEstimate ? 'ESTIMATES' : 'FINDS'} rows of a known id`
    : `${role} ${isEstimate ? 'ESTIMATES' : 'TELLS'} ${name}.${column}`
}

async function questionsAbout(ground: Ground, target: Target, stance: Stance): Promise<Question[]> {
  const { superuser, bob } = ground
  const own = personOf(stance, ground)
  const notOwn = own ? ` and not (${ofSomebody(target, own)})` : ''
  const columns = target.rights[stance.role].SELECT
  const list = columns.map((column) => `${id(column)}::text as ${id(column)}`)
  const { rows } = await superuser.query<Record<string, string | null>>(
    `select ctid::text as "the ctid", ${list.join(', ')} from ${target.sql} where ${ofSomebody(target, bob)} 
      order by num_nonnulls(${columns.map(id).join(', ')}) desc limit 1`,
  )
  const [row] = rows
  if (!row)
    throw new Error(
      `Nothing to ask about in ${target.name}: let createUserWithAllRows (test/support/fixtures.ts) write a row of somebody's there`,
    )
  /** The place of a row that does not belong to the attacker either, and does not meet the condition. */
  const another = async (condition: string) => {
    const text = `select ctid::text as place from ${target.sql} where not (${condition})${notOwn} limit 1`
    const [found] = (await superuser.query<{ place: string }>(text)).rows
    return found && ` and ctid = '${found.place}'`
  }
  const here = ` and ctid = '${row['the ctid']}'`
  const questions: Question[] = []
  for (const column of columns) {
    const name = id(column)
    const value = row[column] ?? null
    const isNull = `${name} is ${value === null ? '' : 'not '}null`
    const elsewhere = await another(isNull)
    if (elsewhere)
      questions.push({ column, how: 'null', by: 'place', isMet: isNull + here, isNot: isNull + elsewhere })
    const type = target.columns[column] ?? 'boolean'
    if (value === null) continue
    if (type === 'boolean') {
      const bare = value === 'true' ? name : `not ${name}`
      const opposite = await another(bare)
      if (opposite)
        questions.push({ column, how: 'bare', by: 'place', isMet: bare + here, isNot: bare + opposite })
    }
    const ends = type === 'text' ? [`!${value.slice(1)}`, `~${value.slice(1)}`] : (ENDS[type] ?? [])
    const values = [value, ...ends].map((each) => literal(each, type))
    for (const [how, condition] of await comparisonsOf(ground, type)) {
      const { rows: answers } = await superuser.query<{ meets: (boolean | null)[] }>(
        `select array[${values.map((each) => condition(literal(value, type), each)).join(', ')}] as meets`,
      )
      const meets = answers[0]?.meets ?? []
      const [hit, miss] = [values[meets.indexOf(true)], values[meets.indexOf(false)]]
      if (hit === undefined || miss === undefined || type === 'boolean') continue
      // By the row's own place, and by an index if one exists.
      questions.push({
        column,
        how,
        by: 'place',
        isMet: condition(name, hit) + here,
        isNot: condition(name, miss) + here,
      })
      // PostgreSQL also estimates the attacker's own rows of ids, and then finds them by other plans.
      if (!own || type !== 'uuid')
        questions.push({
          column,
          how,
          by: 'value',
          isMet: condition(name, hit) + notOwn,
          isNot: condition(name, miss) + notOwn,
        })
    }
  }
  return questions
}

/** Digits in their order, and the notation of a value of which only the first digits are known. */
const DIGITS: Record<
  string,
  { digits: string; written: (known: string) => string; read: (value: string) => string }
> = {
  text: {
    digits: Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).join(''),
    written: (known) => known,
    read: (value) => value,
  },
  uuid: {
    digits: '0123456789abcdef',
    written: (known) => known.padEnd(32, '0'),
    read: (value) => value.replaceAll('-', ''),
  },
  macaddr: {
    digits: '0123456789abcdef',
    written: (known) => known.padEnd(12, '0'),
    read: (value) => value.replaceAll(':', ''),
  },
}
const LONGEST = 40

/**
 * Reads a value of another person as an attacker would: digit by digit, by any difference from the answer for
 * a value that no row has.
 */
export async function extractValues(
  ground: Ground,
  { targets: isTarget = () => true, stances }: OracleOptions,
) {
  const { superuser, bob } = ground
  const targets = (await readTargets(ground)).filter(
    (target) => target.kind === 'table' && target.owner !== null && isTarget(target),
  )
  const trials: Trial[] = []
  for (const stance of stances) {
    const observer = openObserver(ground, stance)
    for (const target of targets.filter((each) => !isOpenTo(stance, each)))
      for (const column of target.rights[stance.role].SELECT) {
        const type = target.columns[column] ?? ''
        const how = DIGITS[type]
        if (!how) continue
        const { digits, written, read } = how
        const { rows } = await superuser.query<{ value: string | null; place: string }>(
          `select ${id(column)}::text as value, ctid::text as place from ${target.sql} where ${ofSomebody(target, bob)} limit 1`,
        )
        const [row] = rows
        if (row?.value == null) continue
        const wanted = read(row.value).slice(0, LONGEST)
        for (const planner of PLANNERS.place) {
          const observe = async (from: string) => {
            const condition = `${id(column)} >= ${literal(written(from), type)} and ctid = '${row.place}'`
            return (await observer.explain(target, planner, [{ column, condition }]))[0]
          }
          const nobody = await observe((digits.at(-1) ?? '').repeat(written('').length || LONGEST))
          const isAtLeast = async (from: string) => (await observe(from)) !== nobody
          let known = ''
          while (known.length < wanted.length) {
            let [low, high] = [-1, digits.length - 1]
            while (low < high) {
              const middle = Math.ceil((low + high) / 2)
              if (await isAtLeast(known + digits[middle])) low = middle
              else high = middle - 1
            }
            if (low < 0) break
            known += digits[low]
          }
          trials.push({
            matrix: 'values of others, searched for',
            row: target.name,
            column: `${stance.role}${stance.identity.startsWith('nobody') ? ', nobody' : ''}`,
            power: known === wanted ? `${stance.role} DECODES ${target.name}.${column}` : undefined,
            detail: `${stance.role}, identity of ${stance.identity}: ${wanted} was read as "${known}"`,
          })
        }
      }
  }
  return trials
}

type Comparison = [how: string, condition: (left: string, right: string) => string]
const comparisons = new Map<string, Comparison[]>()

/** Every operator of a type that answers yes or no, and the SQL forms that use the one for equality. */
async function comparisonsOf({ superuser }: Ground, type: string): Promise<Comparison[]> {
  const known = comparisons.get(type)
  if (known) return known
  const { rows } = await superuser.query<{ name: string }>(
    `select distinct o.oprname as name from pg_operator o where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprresult = 'bool'::regtype
      and o.oprleft = o.oprright and o.oprleft = any ($1::regtype[]) order by 1`,
    [type.endsWith('[]') ? [type, 'anyarray'] : [type]],
  )
  const all: Comparison[] = rows.map(({ name }) => [
    name,
    (left, right) => `${left} operator(pg_catalog.${name}) ${right}`,
  ])
  if (rows.some(({ name }) => name === '=')) {
    all.push(['distinct', (left, right) => `${left} is not distinct from ${right}`])
    if (!type.endsWith('[]')) all.push(['any', (left, right) => `${left} = any (array[${right}])`])
  }
  comparisons.set(type, all)
  return all
}

const COUNTERS = ['numscans', 'tuples_returned', 'tuples_fetched', 'blocks_fetched']

/**
 * Queries as a role that serves requests. It reads PostgreSQL's counters of the statement, which no such role
 * can do: it uses a superuser's connection that assumes the role. Row security then binds it like any other.
 */
function openObserver(ground: Ground, stance: Stance) {
  const { superuser, roles } = ground
  const assume = `set local role ${roles[stance.role]}`
  const count = `reset role; select string_agg(concat_ws(' ', c.oid::regclass, ${COUNTERS.map((what) => `pg_stat_get_xact_${what}(c.oid)`).join(', ')}), ', ' order by c.oid) as n
    from pg_class c where c.oid = any (array['ctx.seal_key'::regclass, 'ctx.seal_key_pkey'::regclass])
      or c.oid = '%'::regclass or c.oid in (select indexrelid from pg_index where indrelid = '%'::regclass); ${assume}`

  return {
    /** Plans and counters, without the text of the conditions; an error is its code. */
    async explain(
      target: Target,
      planner: string[],
      asked: { column: string; condition: string }[],
    ): Promise<string[]> {
      const counters = count.replaceAll('%', target.sql)
      const open = async () => {
        await superuser.query('begin')
        const somebody = personOf(stance, ground) as Somebody
        await superuser.query('savepoint opening')
        if (somebody)
          await superuser
            .query(openingOf(stance, somebody))
            .catch(() => superuser.query('rollback to savepoint opening'))
        await superuser.query(
          [...planner.map((setting) => `set local ${setting} = off`), 'set local jit = off', assume].join(
            '; ',
          ),
        )
      }
      const textOf = ({ column, condition }: { column: string; condition: string }) =>
        `explain (analyze, costs, timing off, summary off, buffers off) select 1 from ${target.sql} where ${condition} order by ${id(column)}; ${counters}`
      const read = (results: pg.QueryResult[], sizes: number) => {
        const plans = results
          .filter(({ command }) => command === 'EXPLAIN')
          .map(({ rows }) => rows.map((row) => row['QUERY PLAN']).join('\n'))
        const counts = results.flatMap(({ rows }) => (rows[0]?.n === undefined ? [] : [numbersOf(rows[0].n)]))
        return Array.from({ length: sizes }, (_, index) => {
          const [before = [], after = []] = counts.slice(index)
          return `${normalised(plans[index] ?? '')}\n${after.map((n, i) => n - (before[i] ?? 0)).join(' ')}`
        })
      }
      const seen: string[] = []
      await open()
      try {
        for (let from = 0; from < asked.length; from += 200) {
          const several = asked.slice(from, from + 200)
          try {
            const results = (await superuser.query(
              `savepoint several; ${counters}; ${several.map(textOf).join('; ')}`,
            )) as unknown as pg.QueryResult[]
            seen.push(...read(results, several.length))
          } catch {
            await superuser.query(`rollback to savepoint several; ${assume}`)
            // PostgreSQL refuses one of them, regardless of the rows (a value that is no pattern): then each
            // runs by itself.
            for (const each of several) {
              try {
                const results = (await superuser.query(
                  `savepoint each; ${counters}; ${textOf(each)}`,
                )) as unknown as pg.QueryResult[]
                seen.push(...read(results, 1))
              } catch (error) {
                await superuser.query(`rollback to savepoint each; ${assume}`)
                seen.push((error as pg.DatabaseError).code ?? String(error))
              }
            }
          }
        }
      } finally {
        await superuser.query('rollback')
      }
      return seen
    },
  }
}

const numbersOf = (text: string) => (text.match(/ \d+/g) ?? []).map(Number)
/** Without the values in the query. */
const normalised = (plan: string) =>
  plan
    .replaceAll(/'(?:[^']|'')*'(?:::[a-z ]+(?:\[\])?)?/g, '?')
    .replaceAll(/(?<=(?:[=<>]|FROM) )-?\d+(?=\))/g, '?')
/** What the statement found and read on the way, by any plan and any index that an estimate led to. */
const readOf = (plan: string) => {
  const counted = numbersOf(` ${/^[ \d]+$/m.exec(plan)?.[0] ?? ''}`)
  const sums = COUNTERS.map((_, kind) =>
    counted.reduce((sum, n, index) => (index % COUNTERS.length === kind ? sum + n : sum), 0),
  )
  return [/actual rows=\S+/.exec(plan), ...(plan.match(/Rows Removed.*/g) ?? []), ...sums].join('\n')
}

import Type from 'typebox'
import { Nullable, OneOf, Strict, Text, Uuid } from '../../http/schemas.ts'
import { FORMAT_NAMES } from './parsers/formats.ts'

const ScanId = Text({
  max: 128,
  description: 'Made by the agent; the same scan may be posted any number of times',
  examples: ['2026-11-21T08:00:00Z'],
})
const TakenAt = Type.String({ format: 'date-time', maxLength: 40, description: 'When the router looked' })

/** An entry is taken as far as it makes sense: a malformed MAC skips it, wrong JSON types refuse the whole body. */
const Entry = Strict({
  mac: Type.Optional(Nullable(Type.String())),
  ip: Type.Optional(Nullable(Type.String())),
  ips: Type.Optional(Type.Array(Type.String(), { maxItems: 1_000 })),
  hostname: Type.Optional(Nullable(Type.String())),
})
export type Entry = Type.Static<typeof Entry>

export const Scan = Strict(
  {
    scanId: ScanId,
    takenAt: TakenAt,
    devices: Type.Optional(Type.Array(Entry)),
    sources: Type.Optional(
      Type.Array(Strict({ format: OneOf(FORMAT_NAMES), content: Type.Unknown({ description: 'Text, or JSON for the JSON formats' }) }), {
        minItems: 1,
        maxItems: 32,
      }),
    ),
  },
  { oneOf: [{ required: ['devices'] }, { required: ['sources'] }] },
)
export type Scan = Type.Static<typeof Scan>

/** A body that is what the router printed. */
export const RawScan = Type.String({ description: 'What the router printed, verbatim' })

export const RawScanQuery = Strict({
  format: Type.Optional(OneOf(FORMAT_NAMES)),
  scanId: Type.Optional(ScanId),
  takenAt: Type.Optional(TakenAt),
})

export const ScanAnswer = Type.Object(
  {
    created: Type.Integer(),
    updated: Type.Integer({ description: 'An address, a MAC or the host name changed' }),
    unchanged: Type.Integer(),
    skipped: Type.Integer(),
    total: Type.Integer({ description: 'Distinct devices: created, updated and unchanged together' }),
    errors: Type.Array(
      Type.Object({
        source: Type.Integer({ description: 'Index of the source, from 0' }),
        line: Nullable(Type.Integer({ description: 'From 1; null for JSON' })),
        reason: Type.String(),
      }),
    ),
    policyRevision: Type.String(),
  },
  { $id: 'ScanAnswer' },
)
export type ScanAnswer = Type.Static<typeof ScanAnswer>

export const Heartbeat = Strict({})
export const HeartbeatAnswer = Type.Object({
  serverTime: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }),
  policyRevision: Type.String(),
})
export const VerifyAnswer = Type.Object({
  routerId: Uuid(),
  routerName: Type.String(),
  scopes: Type.Array(Type.String()),
  serverTime: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }),
})

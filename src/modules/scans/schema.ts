import Type from 'typebox'
import { Instant, Nullable, OneOf, StrictObject, Text, Uuid } from '../../http/schemas.ts'
import { REVISION } from '../routers/schema.ts'
import { FORMAT_NAMES } from './parsers/formats.ts'

const ScanId = Text({
  max: 128,
  description: 'Made by the agent; the same scan may be posted any number of times',
  examples: ['2026-11-21T08:00:00Z'],
})
const TakenAt = Type.String({ format: 'date-time', maxLength: 40, description: 'When the router looked' })

/**
 * An entry is taken as far as it makes sense: a malformed MAC skips it, wrong JSON types refuse the whole
 * body.
 */
const ScanEntry = StrictObject({
  mac: Type.Optional(Nullable(Type.String({ examples: ['00:00:5e:00:53:01'] }))),
  ip: Type.Optional(Nullable(Type.String({ examples: ['192.168.1.20'] }))),
  ips: Type.Optional(Type.Array(Type.String(), { maxItems: 1_000 })),
  hostname: Type.Optional(Nullable(Type.String({ examples: ['thinkpad'] }))),
})
export type ScanEntry = Type.Static<typeof ScanEntry>

export const Scan = StrictObject(
  {
    scanId: ScanId,
    takenAt: TakenAt,
    devices: Type.Optional(Type.Array(ScanEntry)),
    sources: Type.Optional(
      Type.Array(
        StrictObject({
          format: OneOf(FORMAT_NAMES),
          content: Type.Unknown({ description: 'Text, or JSON for the JSON formats' }),
        }),
        {
          minItems: 1,
          maxItems: 32,
        },
      ),
    ),
  },
  { oneOf: [{ required: ['devices'] }, { required: ['sources'] }] },
)
export type Scan = Type.Static<typeof Scan>

/** A body that is what the router printed. */
export const RawScan = Type.String({
  description: 'What the router printed, verbatim',
  examples: ['1785500000 00:00:5e:00:53:01 192.168.1.20 thinkpad *\n'],
})

export const RawScanQuery = StrictObject({
  format: Type.Optional(OneOf(FORMAT_NAMES)),
  scanId: Type.Optional(ScanId),
  takenAt: Type.Optional(TakenAt),
})

const PolicyRevision = Type.String({ description: 'Of the policy as it stands', examples: [REVISION] })

export const ScanAnswer = Type.Object(
  {
    created: Type.Integer({ examples: [1] }),
    updated: Type.Integer({ description: 'An address, a MAC or the host name changed', examples: [2] }),
    unchanged: Type.Integer({ examples: [20] }),
    skipped: Type.Integer({ examples: [1] }),
    total: Type.Integer({
      description: 'Distinct devices: created, updated and unchanged together',
      examples: [23],
    }),
    errors: Type.Array(
      Type.Object({
        source: Type.Integer({ description: 'Index of the source, from 0', examples: [0] }),
        line: Nullable(Type.Integer({ description: 'From 1; null for JSON', examples: [7] })),
        reason: Type.String({ examples: ['malformed'] }),
      }),
    ),
    policyRevision: PolicyRevision,
  },
  { $id: 'ScanAnswer' },
)
export type ScanAnswer = Type.Static<typeof ScanAnswer>

export const Heartbeat = StrictObject({})
export const HeartbeatAnswer = Type.Object(
  { serverTime: Instant(), policyRevision: PolicyRevision },
  { $id: 'HeartbeatAnswer' },
)
export const VerifyAnswer = Type.Object(
  {
    routerId: Uuid(),
    routerName: Type.String({ examples: ['Home'] }),
    scopes: Type.Array(Type.String({ examples: ['scans:write'] })),
    serverTime: Instant(),
  },
  { $id: 'VerifyAnswer' },
)

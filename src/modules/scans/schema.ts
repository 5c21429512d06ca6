import Type from 'typebox'
import { Forms, Instant, Nullable, OneOf, StrictObject, Text, Uuid } from '../../http/schemas.ts'
import { REVISION } from '../routers/schema.ts'
import { FORMAT_NAMES } from './parsers/formats.ts'

const ScanId = Text({
  max: 128,
  description: 'The id that the agent gives the scan. The agent may post the same scan any number of times.',
  examples: ['2026-11-21T08:00:00Z'],
})

const TakenAt = Type.String({
  format: 'date-time',
  maxLength: 40,
  description: 'When the router looked at its network',
})

/**
 * The valid parts of an entry are used: a malformed MAC skips the entry, wrong JSON types refuse the whole
 * body.
 */
const ScanEntry = StrictObject({
  mac: Type.Optional(Nullable(Type.String({ examples: ['00:00:5e:00:53:01'] }))),
  ip: Type.Optional(Nullable(Type.String({ examples: ['192.168.1.20'] }))),
  ips: Type.Optional(Type.Array(Type.String(), { maxItems: 1_000 })),
  hostname: Type.Optional(Nullable(Type.String({ examples: ['thinkpad'] }))),
})
export type ScanEntry = Type.Static<typeof ScanEntry>

export const Scan = Forms(
  { $id: 'Scan', description: 'A scan as devices, or as what the router printed' },
  {
    scanId: ScanId,
    takenAt: TakenAt,
    devices: Type.Optional(Type.Array(ScanEntry)),
    sources: Type.Optional(
      Type.Array(
        StrictObject({
          format: OneOf(FORMAT_NAMES),
          content: Type.Unknown({ description: 'The text, or JSON for the JSON formats' }),
        }),
        {
          minItems: 1,
          maxItems: 32,
          description: 'What the router printed, one entry for each program or file',
        },
      ),
    ),
  },
  [['devices'], ['sources']],
)
export type Scan = Type.Static<typeof Scan>

/** A body with the unchanged output of a router. */
export const RawScan = Type.String({
  description: 'What the router printed, unchanged',
  examples: ['1785500000 00:00:5e:00:53:01 192.168.1.20 thinkpad *\n'],
})

export const RawScanQuery = StrictObject({
  format: Type.Optional(OneOf(FORMAT_NAMES)),
  scanId: Type.Optional(ScanId),
  takenAt: Type.Optional(TakenAt),
})

const PolicyRevision = Type.String({
  description: 'The revision of the current policy',
  examples: [REVISION],
})

export const ScanAnswer = Type.Object(
  {
    created: Type.Integer({ description: 'How many devices are new', examples: [1] }),
    updated: Type.Integer({
      description: 'How many devices have another address, MAC or host name',
      examples: [2],
    }),
    unchanged: Type.Integer({ description: 'How many devices are as they were', examples: [20] }),
    skipped: Type.Integer({ description: 'How many entries made no sense', examples: [1] }),
    total: Type.Integer({
      description: 'How many distinct devices: created, updated and unchanged together',
      examples: [23],
    }),
    errors: Type.Array(
      Type.Object({
        source: Type.Integer({ description: 'The index of the source, from 0', examples: [0] }),
        line: Nullable(Type.Integer({ description: 'The line, from 1; null for JSON', examples: [7] })),
        reason: Type.String({ description: 'What is wrong with the entry', examples: ['malformed'] }),
      }),
      { description: 'The entries that were skipped, and why' },
    ),
    policyRevision: PolicyRevision,
  },
  { $id: 'ScanAnswer', description: 'What a scan changed' },
)
export type ScanAnswer = Type.Static<typeof ScanAnswer>

export const Heartbeat = StrictObject({})
export const HeartbeatAnswer = Type.Object(
  { serverTime: Instant(), policyRevision: PolicyRevision },
  { $id: 'HeartbeatAnswer', description: 'The clock of the server and the current policy revision' },
)
export const VerifyAnswer = Type.Object(
  {
    routerId: Uuid(),
    routerName: Type.String({ examples: ['Home'] }),
    scopes: Type.Array(Type.String({ examples: ['scans:write'] })),
    serverTime: Instant(),
  },
  { $id: 'VerifyAnswer', description: 'The router and the scopes of the key' },
)

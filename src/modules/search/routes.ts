import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { Problem, problem } from '../../http/problem.ts'
import { Nullable, OneOf, responses, StrictObject, Text, Uuid } from '../../http/schemas.ts'
import type { Identity } from '../../rls/identity.ts'
import type { Tx, WithTransaction } from '../../rls/transaction.ts'
import { listEntries } from '../access-lists/repository.ts'
import { type ListName, NOTES } from '../access-lists/schema.ts'
import { listDevices } from '../devices/repository.ts'
import { listGroups } from '../groups/repository.ts'
import { listRouters } from '../routers/repository.ts'

const KINDS = ['router', 'device', 'group', 'whitelist', 'blacklist'] as const

const Found = Type.Object({
  kind: OneOf(KINDS, 'What it is; `whitelist` and `blacklist` are entries of those lists'),
  id: Uuid(),
  routerId: Uuid('The id of the router that it is on; of a router its own id'),
  name: Type.String({ examples: ['Home'] }),
  detail: Nullable(
    Type.String({
      description: 'What tells it from others of its name: an address, a note or a number of devices',
      examples: ['192.168.1.1'],
    }),
  ),
})
const SearchAnswer = Type.Object(
  {
    items: Type.Array(Found),
    total: Type.Integer({ description: 'How many results there are, shown here or not', examples: [1] }),
  },
  { $id: 'SearchAnswer', description: 'What the search found' },
)
type Answer = Type.Static<typeof SearchAnswer>

const SearchQuery = StrictObject({
  q: Text({
    max: 100,
    description: 'A part of a name, host name, manufacturer, note, MAC or address',
    examples: ['tablet'],
  }),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 50,
      default: 10,
      description: 'How many results of each kind at most',
    }),
  ),
})

export type SearchRoutesOptions = { withTransaction: WithTransaction; onlineMinutes: number }

export const searchRoutes: FastifyPluginAsyncTypebox<SearchRoutesOptions> = async (
  app,
  { withTransaction, onlineMinutes },
) => {
  const shown = (total: number, items: Answer['items']): Answer => ({ total, items })
  const ofList = (list: ListName) => async (tx: Tx, search: string, limit: number) => {
    const { items, total } = await listEntries(tx, list, { search, limit, offset: 0 })
    return shown(
      total,
      items.map(({ id, routerId, name, mac, ip, ...entry }) => {
        const address = mac ?? ip
        return {
          kind: list,
          id,
          routerId,
          name: name ?? address ?? 'device',
          detail: entry[NOTES[list]] ?? address,
        }
      }),
    )
  }
  /** `area`: the area that a personal key needs for this search. */
  const searches: { area: string; find: (tx: Tx, search: string, limit: number) => Promise<Answer> }[] = [
    {
      area: 'routers',
      find: async (tx, search, limit) => {
        const { items, total } = await listRouters(tx, { search, limit, offset: 0 }, onlineMinutes)
        return shown(
          total,
          items.map(({ id, name, ip }) => ({ kind: 'router', id, routerId: id, name, detail: ip })),
        )
      },
    },
    {
      area: 'devices',
      find: async (tx, search, limit) => {
        const { items, total } = await listDevices(tx, { search, limit, offset: 0 }, onlineMinutes)
        return shown(
          total,
          items.map(({ id, routerId, name, macs, ips }) => {
            const addresses = [...macs, ...ips]
            return {
              kind: 'device',
              id,
              routerId,
              name: name ?? addresses[0] ?? 'device',
              detail: addresses.join(', ') || null,
            }
          }),
        )
      },
    },
    {
      area: 'groups',
      find: async (tx, search, limit) => {
        const { items, total } = await listGroups(tx, { search, limit, offset: 0 })
        return shown(
          total,
          items.map(({ id, routerId, name, deviceCount }) => ({
            kind: 'group',
            id,
            routerId,
            name,
            detail: `${deviceCount} devices`,
          })),
        )
      },
    },
    { area: 'lists', find: ofList('whitelist') },
    { area: 'lists', find: ofList('blacklist') },
  ]

  /**
   * Checks the key for each area separately. Results of areas outside its scopes are left out. @throws
   * Problem `insufficient-scope` when the key has none of the areas
   */
  async function searchByKey(
    identity: Identity & { kind: 'key' },
    search: string,
    limit: number,
  ): Promise<Answer[]> {
    const found: Answer[] = []
    let isAllowed = false
    for (const { area, find } of searches)
      try {
        found.push(
          await withTransaction({ ...identity, scope: `${area}:read` }, (tx) => find(tx, search, limit), {
            readOnly: true,
          }),
        )
        isAllowed = true
      } catch (error) {
        if (!(error instanceof Problem && error.code === 'insufficient-scope')) throw error
      }
    if (!isAllowed) throw problem('insufficient-scope')
    return found
  }

  app.get(
    '/search',
    {
      schema: {
        tags: ['devices'],
        // No single scope: see the description.
        security: [{ person: [] }, { script: [] }],
        operationId: 'search',
        summary: 'Search routers, devices, groups and list entries',
        description:
          'Returns the first results of each kind. A personal key finds the kinds that it may read (`routers:read`, `devices:read`, `groups:read`, `lists:read`). With none of these scopes it is 403.',
        querystring: SearchQuery,
        response: responses({ 200: SearchAnswer }, 'insufficient-scope'),
      },
    },
    async (request) => {
      const { q, limit = 10 } = request.query
      const { identity } = request
      const found =
        identity?.kind === 'key'
          ? await searchByKey(identity, q, limit)
          : await withTransaction(
              identity,
              (tx) => Promise.all(searches.map(({ find }) => find(tx, q, limit))),
              {
                readOnly: true,
              },
            )
      return {
        items: found.flatMap(({ items }) => items),
        total: found.reduce((sum, { total }) => sum + total, 0),
      }
    },
  )
}

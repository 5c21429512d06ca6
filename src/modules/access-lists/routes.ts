import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { fieldsOf, requireVersion } from '../../http/etag.ts'
import {
  type FieldError,
  notFound,
  orNotFound,
  PROBLEMS,
  type ProblemCode,
  problem,
} from '../../http/problem.ts'
import { IdParams, pageOf, responses } from '../../http/schemas.ts'
import { createValidatorCompiler } from '../../http/validation.ts'
import { canonicalIp, isDeviceIp } from '../../network/ip.ts'
import { parseMac } from '../../network/mac.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { ClearQuery, Removed } from '../devices/schema.ts'
import { notAMac } from '../devices/values.ts'
import { changeEntries } from './changes-repository.ts'
import { changeEntry, clearEntries, findEntry, listEntries, lockEntry } from './repository.ts'
import type { NewEntry } from './same-device.ts'
import {
  type AddEntry,
  BulkAnswer,
  entrySchemas,
  ListEntries,
  type ListName,
  MAX_BULK,
  NOTES,
} from './schema.ts'

type AccessListRoutesOptions = { withTransaction: WithTransaction; list: ListName }

/** In bytes: enough for the maximum number of entries in a call, with their notes. */
const BULK_BODY_LIMIT = 1_048_576

export const whitelistRoutes: FastifyPluginAsyncTypebox<{ withTransaction: WithTransaction }> = (
  app,
  options,
) => accessListRoutes(app, { ...options, list: 'whitelist' })

export const blacklistRoutes: FastifyPluginAsyncTypebox<{ withTransaction: WithTransaction }> = (
  app,
  options,
) => accessListRoutes(app, { ...options, list: 'blacklist' })

/** The routes of one list. They are registered once for each list. */
const accessListRoutes: FastifyPluginAsyncTypebox<AccessListRoutesOptions> = async (
  app,
  { withTransaction, list },
) => {
  const List = list === 'whitelist' ? 'Whitelist' : 'Blacklist'
  const documented = { tags: ['lists'], security: [{ person: [] }] }
  const { AddEntry, ChangeEntry, Bulk, Entry } = entrySchemas(list)
  const config = { versionOf: fieldsOf(...Object.keys(ChangeEntry.properties)) }

  app.get(
    '',
    {
      schema: {
        ...documented,
        operationId: `list${List}`,
        summary: `List the ${list}`,
        description: `Lists the entries of the ${list} of all routers, or of one.`,
        querystring: ListEntries,
        response: responses({ 200: pageOf(Entry) }),
      },
    },
    (request) =>
      withTransaction(request.identity, (tx) => listEntries(tx, list, request.query), { readOnly: true }),
  )

  app.post(
    '',
    {
      config,
      schema: {
        ...documented,
        operationId: `addTo${List}`,
        summary: `Add to the ${list}`,
        description: `Adds a device, named by its id, a MAC or an address. When the device is on this list already, however it is named, the answer is 409 \`conflict\`. When it is on the other list, the answer is 409 \`on-other-list\` with \`entryId\`; \`move\` takes it off there.`,
        body: AddEntry,
        response: responses({ 201: Entry }, 'not-found', 'conflict', 'on-other-list'),
      },
    },
    async (request, reply) => {
      const entry = readEntry(list, request.body)
      if ('path' in entry) throw problem('invalid-request', { errors: [entry] })
      const stored = await withTransaction(request.identity, async (tx) => {
        const outcome = (await changeEntries(tx, list, { add: [entry] })).added.get(entry) ?? {
          code: 'not-found',
        }
        if ('code' in outcome && outcome.code === 'not-found')
          throw notFound(entry.deviceId ? '/body/deviceId' : '/body/routerId')
        if ('code' in outcome)
          throw problem(outcome.code, 'entryId' in outcome ? { entryId: outcome.entryId } : {})
        tx.audit({ targetId: outcome.id })
        return orNotFound(await findEntry(tx, list, outcome.id))
      })
      return reply.code(201).send(stored)
    },
  )

  app.get(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: `get${List}Entry`,
        summary: `Get an entry of the ${list}`,
        description: `Returns one entry of the ${list}.`,
        params: IdParams,
        response: responses({ 200: Entry }),
      },
    },
    async (request) => {
      return orNotFound(
        await withTransaction(request.identity, (tx) => findEntry(tx, list, request.params.id), {
          readOnly: true,
        }),
      )
    },
  )

  app.patch(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: `change${List}Entry`,
        summary: `Change an entry of the ${list}`,
        description: `Changes what the entry says. The device stays the same.`,
        params: IdParams,
        body: ChangeEntry,
        response: responses({ 200: Entry }),
      },
    },
    async (request) => {
      const { id } = request.params
      return withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => lockEntry(tx, list, id))
        orNotFound(await changeEntry(tx, list, id, request.body))
        return orNotFound(await findEntry(tx, list, id))
      })
    },
  )

  app.delete(
    '/:id',
    {
      config,
      schema: {
        ...documented,
        operationId: `removeFrom${List}`,
        summary: `Remove from the ${list}`,
        description: `Removes one entry from the ${list}.`,
        params: IdParams,
        response: responses({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await withTransaction(request.identity, async (tx) => {
        await requireVersion(request, () => lockEntry(tx, list, request.params.id))
        const { removed } = await changeEntries(tx, list, { remove: [request.params.id] })
        orNotFound(removed.size > 0)
      })
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '',
    {
      schema: {
        ...documented,
        operationId: `clear${List}`,
        summary: `Clear the ${list} of a router`,
        description: `Removes every entry of the ${list} of a router.`,
        querystring: ClearQuery,
        response: responses({ 200: Removed }, 'not-found'),
      },
    },
    async (request) => {
      return withTransaction(request.identity, async (tx) => {
        const removed = orNotFound(await clearEntries(tx, list, request.query.routerId))
        tx.audit({ targetId: request.query.routerId, detail: { removed }, changedNothing: removed === 0 })
        return { removed }
      })
    },
  )

  await app.register(async (bulk: typeof app) => {
    // One fault is enough for a body of up to a megabyte.
    bulk.setValidatorCompiler(createValidatorCompiler({ allErrors: false }))
    bulk.post(
      '/bulk',
      {
        bodyLimit: BULK_BODY_LIMIT,
        schema: {
          ...documented,
          operationId: `bulkChange${List}`,
          summary: `Add to the ${list} and remove from it`,
          description: `Adds and removes up to ${MAX_BULK} entries each: \`add\` in its order, then \`remove\`. Each change has its own result, and one that fails leaves the others alone. Only a body of the wrong form is refused as a whole.`,
          body: Bulk,
          response: responses({ 200: BulkAnswer }),
        },
      },
      async (request) => {
        const add = (request.body.add ?? []).map((entry) => readEntry(list, entry))
        const remove = (request.body.remove ?? []).map((id) => id.toLowerCase())
        const readable = add.flatMap((entry) => ('path' in entry ? [] : entry))
        const { added, removed } = await withTransaction(request.identity, async (tx) => {
          const changes = await changeEntries(tx, list, { add: readable, remove })
          const counts = {
            added: [...changes.added.values()].filter((outcome) => 'id' in outcome).length,
            removed: changes.removed.size,
          }
          const failed = add.length + remove.length - counts.added - counts.removed
          tx.audit({ detail: { ...counts, failed }, changedNothing: counts.added + counts.removed === 0 })
          return changes
        })
        const outcomes = [
          ...add.map((entry) => ('path' in entry ? failure('invalid-request') : outcomeOf(added.get(entry)))),
          // When an id is repeated, the entry no longer exists.
          ...remove.map((id) => (removed.delete(id) ? { status: 204, id } : failure('not-found'))),
        ]
        return { results: outcomes.map((outcome, index) => ({ index, ...outcome })) }
      },
    )
  })
}

type BulkOutcome = Omit<BulkAnswer['results'][number], 'index'>

const failure = (code: ProblemCode): BulkOutcome => ({ status: PROBLEMS[code].status, code })
const outcomeOf = (added: { id: string } | { code: ProblemCode } = { code: 'not-found' }): BulkOutcome =>
  'id' in added ? { status: 201, id: added.id } : failure(added.code)

/**
 * Checks what JSON Schema cannot: the MAC or address must be possible for a device. Returns it in canonical
 * spelling, or the fault.
 */
function readEntry(
  list: ListName,
  { deviceId, routerId, mac, ip, name, move, ...notes }: AddEntry,
): NewEntry | FieldError {
  const parsed = mac === undefined ? undefined : parseMac(mac)
  if (parsed && !parsed.ok) return notAMac('/body/mac')
  const address = ip === undefined ? undefined : canonicalIp(ip)
  if (ip !== undefined && (address === undefined || !isDeviceIp(address)))
    return { path: '/body/ip', code: 'wrong-format', message: 'is not the address of a device' }
  return {
    deviceId: deviceId?.toLowerCase() ?? null,
    routerId: routerId?.toLowerCase() ?? null,
    mac: parsed?.mac ?? null,
    ip: address ?? null,
    name: name ?? null,
    note: notes[NOTES[list]] ?? null,
    move: move ?? false,
  }
}

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { problem } from '../../http/problem.ts'
import { Nullable, responses } from '../../http/schemas.ts'
import { isRandomMac, parseMac } from '../../network/mac.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { MacParams } from '../devices/schema.ts'
import { findManufacturer } from './repository.ts'

const Manufacturer = Type.Object(
  {
    manufacturer: Nullable(
      Type.String({
        description: 'The organisation that the IEEE assigned the beginning of the MAC to',
        examples: ['Lenovo'],
      }),
    ),
    randomMac: Type.Boolean({
      description: 'Whether the MAC is a random one, which no manufacturer assigned',
    }),
  },
  { $id: 'Manufacturer', description: 'What the beginning of a MAC address says' },
)

export const manufacturerRoutes: FastifyPluginAsyncTypebox<{ withTransaction: WithTransaction }> = async (
  app,
  { withTransaction },
) => {
  app.get(
    '/:mac',
    {
      schema: {
        tags: ['devices'],
        security: [{ person: [] }],
        operationId: 'getManufacturer',
        summary: 'Get the manufacturer of a MAC address',
        description:
          'Returns the manufacturer of any MAC, seen or not. It is null when nobody has the prefix, and for every random MAC.',
        params: MacParams,
        response: responses({ 200: Manufacturer }),
      },
    },
    async (request) => {
      const mac = parseMac(request.params.mac)
      if (!mac.ok)
        throw problem('invalid-request', {
          errors: [
            { path: '/params/mac', code: 'wrong-format', message: 'is not the MAC address of a device' },
          ],
        })
      const randomMac = isRandomMac(mac.mac)
      const manufacturer = await withTransaction(request.identity, (tx) => findManufacturer(tx, mac.mac), {
        readOnly: true,
      })
      return { manufacturer: randomMac ? null : manufacturer, randomMac }
    },
  )
}

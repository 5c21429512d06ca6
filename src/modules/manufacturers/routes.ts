import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { Nullable, responses } from '../../http/schemas.ts'
import { isRandomMac } from '../../network/mac.ts'
import type { WithTransaction } from '../../rls/transaction.ts'
import { MacParams } from '../devices/schema.ts'
import { readMac } from '../devices/values.ts'
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
      const mac = readMac(request.params.mac, '/params/mac')
      const randomMac = isRandomMac(mac)
      const manufacturer = await withTransaction(request.identity, (tx) => findManufacturer(tx, mac), {
        readOnly: true,
      })
      return { manufacturer: randomMac ? null : manufacturer, randomMac }
    },
  )
}

import { problem } from '../../http/problem.ts'
import { parseRate } from '../../network/rate.ts'
import type { DeviceValues } from './repository.ts'
import type { ChangeDevice } from './schema.ts'

/** A rate within its bounds, whatever its unit. */
export function toDeviceValues({ rate, ...fields }: ChangeDevice): DeviceValues {
  if (rate === undefined) return fields
  const kbit = rate === null ? null : parseRate(rate)
  if (kbit === undefined)
    throw problem('invalid-request', {
      errors: [{ path: '/body/rate', code: 'wrong-format', message: 'is not a rate' }],
    })
  return { ...fields, rate: kbit }
}

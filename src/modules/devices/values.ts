import { type FieldError, problem } from '../../http/problem.ts'
import { parseMac } from '../../network/mac.ts'
import { parseRate } from '../../network/rate.ts'
import type { DeviceValues } from './repository.ts'
import type { ChangeDevice } from './schema.ts'

/** Converts the rate to kbit/s and checks its bounds, which apply in every unit. */
export function toDeviceValues({ rate, ...fields }: ChangeDevice): DeviceValues {
  if (rate === undefined) return fields
  const kbit = rate === null ? null : parseRate(rate)
  if (kbit === undefined)
    throw problem('invalid-request', {
      errors: [{ path: '/body/rate', code: 'wrong-format', message: 'is not a rate' }],
    })
  return { ...fields, rate: kbit }
}

/** The fault of a text that is no MAC. @param path of the field, as a JSON pointer */
export const notAMac = (path: string): FieldError => ({
  path,
  code: 'wrong-format',
  message: 'is not the MAC address of a device',
})

/** Parses a MAC to its canonical spelling. @throws Problem `invalid-request` */
export function readMac(text: string, path: string): string {
  const parsed = parseMac(text)
  if (!parsed.ok) throw problem('invalid-request', { errors: [notAMac(path)] })
  return parsed.mac
}

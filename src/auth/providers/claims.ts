/** Checks that a claim can be stored and shown. */

export const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

export const isText = (value: unknown, max: number): value is string =>
  typeof value === 'string' &&
  value !== '' &&
  value.length <= max &&
  value.isWellFormed() &&
  !value.includes('\0')

export const isPicture = (value: unknown): value is string =>
  isText(value, 2_000) && value.startsWith('https://')

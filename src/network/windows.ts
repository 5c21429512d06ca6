/**
 * Converts recurring windows of local time to spans of real time, correctly also on the two days a year when
 * the clocks change.
 */
import { Temporal } from 'temporal-polyfill'

/** A half-open span of time: it includes `from` and excludes `to`. */
export type Window = { from: Date; to: Date }

/**
 * A recurring window in local time. `days` are the days on which it starts. An `end` that is not after
 * `start` is on the next day.
 */
export type Recurrence = { days: Day[]; start: string; end: string; timeZone: string }
export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
export type Day = (typeof DAYS)[number]

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
/** How far the windows that overlap a span can extend beyond it, with a safety margin. */
const REACH = 4 * DAY

/**
 * The windows of a recurrence that overlap a span, sorted and disjoint (adjacent ones joined). They are
 * complete: the first may begin before the span and the last end after it.
 *
 * A window is the shortest span that contains every moment at which the clock shows one of its times. When
 * the clock jumps forward, a start or an end inside the jump becomes the moment of the jump, and a window
 * entirely inside it does not happen. When the clock goes back, a window starts at the first of two equal
 * times and ends at the second, longer than usual. A window that ends exactly where the repetition begins is
 * over then.
 */
export function windowsWithin({ days, start, end, timeZone }: Recurrence, span: Window): Window[] {
  const [from, to] = [span.from.getTime(), span.to.getTime()]
  const periods = periodsWithin(timeZone, from - REACH, to + REACH)
  const startsAt = minutesOf(start) * MINUTE
  const endsAt = minutesOf(end) * MINUTE
  const length = endsAt > startsAt ? endsAt - startsAt : endsAt - startsAt + DAY
  const windows: { from: number; to: number }[] = []
  // One day more on each side than usual days need, because the clock may go back across midnight.
  const lastDay = Math.floor(shownAt(periods, to) / DAY) + 1
  for (let day = Math.floor(shownAt(periods, from) / DAY) - 2; day <= lastDay; day += 1) {
    if (!days.includes(dayOfWeek(day))) continue
    const shown = day * DAY + startsAt
    const window = { from: firstFrom(periods, shown), to: lastBefore(periods, shown + length) }
    if (window.from >= window.to || window.to <= from || window.from >= to) continue
    const previous = windows.at(-1)
    if (previous && window.from <= previous.to) previous.to = window.to
    else windows.push(window)
  }
  return windows.map((window) => ({ from: new Date(window.from), to: new Date(window.to) }))
}

/**
 * The moment when the next window of any recurrence starts or ends, after a moment and within the given
 * number of days.
 * @returns undefined when there is none, also when a window has no end because its windows follow each other
 * without a gap
 */
export function nextChange(recurrences: Recurrence[], after: Date, withinDays: number): Date | undefined {
  const span = { from: after, to: new Date(after.getTime() + withinDays * DAY) }
  const moments = recurrences
    .flatMap((recurrence) => windowsWithin(recurrence, span))
    .flatMap(({ from, to }) => [from, to])
  const [next] = moments
    .filter((moment) => moment > span.from && moment < span.to)
    .sort((a, b) => a.getTime() - b.getTime())
  return next
}

/**
 * A period with a constant offset: local time is `offset` ahead of UTC. All numbers are milliseconds since
 * 1970.
 */
type Period = { from: number; to: number; offset: number }

/**
 * Temporal tells when the clock changes. The rest is arithmetic, a hundred times cheaper than a Temporal call
 * for each window.
 */
function periodsWithin(timeZone: string, from: number, to: number): Period[] {
  const periods: Period[] = []
  let begin: Temporal.ZonedDateTime | null =
    Temporal.Instant.fromEpochMilliseconds(from).toZonedDateTimeISO(timeZone)
  while (begin && begin.epochMilliseconds < to) {
    const next: Temporal.ZonedDateTime | null = begin.getTimeZoneTransition('next')
    const change = next?.epochMilliseconds ?? Number.POSITIVE_INFINITY
    periods.push({ from: begin.epochMilliseconds, to: change, offset: begin.offsetNanoseconds / 1e6 })
    begin = next
  }
  return periods
}

/** The local time at a moment, as if it were UTC. */
const shownAt = (periods: Period[], moment: number) =>
  moment + (periods.find(({ to }) => moment < to)?.offset ?? 0)

/** The first moment at which the clock shows this time or a later one. */
const firstFrom = (periods: Period[], shown: number) => {
  const period = periods.find(({ to, offset }) => shown - offset < to)
  return period ? Math.max(period.from, shown - period.offset) : Number.POSITIVE_INFINITY
}

/** The end of the last moment at which the clock shows an earlier time than this. */
const lastBefore = (periods: Period[], shown: number) => {
  const period = periods.findLast(({ from, offset }) => shown - offset > from)
  return period ? Math.min(period.to, shown - period.offset) : Number.NEGATIVE_INFINITY
}

/** @param time `HH:MM`, 24 hours */
const minutesOf = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5))

/** @param day days since 1970-01-01, which was a Thursday */
const dayOfWeek = (day: number) => DAYS[(((day + 3) % 7) + 7) % 7] as Day

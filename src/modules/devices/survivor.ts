/**
 * A device that was merged into another, maybe more than once, keeps its row and points at the one that goes
 * on: the survivor. What refers to it is about the survivor. Pieces of named statements, in which `$1` is the
 * owner; `policy/build-facts.ts` does the same with rows.
 */

/** Upwards: a table `survivor` whose `id` is that of the device that goes on. @param deviceId a column */
export const survivorOf = (deviceId: string) => `lateral (
    with recursive up (id, merged_into) as (
      select d.id, d.merged_into from user_devices d where d.user_id = $1 and d.id = ${deviceId}
      union select d.id, d.merged_into from up join user_devices d on d.user_id = $1 and d.id = up.merged_into
    ) select up.id from up where up.merged_into is null
  ) survivor`

/**
 * Downwards, to follow `with recursive`: a table `line` of survivors and all that was merged into them.
 * @param survivors a query for their `id` and `router_id`
 */
export const lineOf = (survivors: string) => `line (id, router_id, survivor) as (
    select s.id, s.router_id, s.id from (${survivors}) s
    union select d.id, d.router_id, l.survivor from line l
      join user_devices d on d.user_id = $1 and d.router_id = l.router_id and d.merged_into = l.id
  )`

/** The device that a parameter names, unless it was merged into another. */
export const deviceAt = (parameter: '$2' | '$3') =>
  `select d.id, d.router_id from user_devices d where d.user_id = $1 and d.id = ${parameter} and d.merged_into is null`

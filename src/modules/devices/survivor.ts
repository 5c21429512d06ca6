/**
 * A device that was merged into another, possibly several times in a chain, keeps its row and points at the
 * survivor. Rows that refer to a merged device apply to the survivor. This file has parts of named
 * statements, in which `$1` is the owner. `policy/build-facts.ts` does the same with rows.
 */

/**
 * From a merged device to its survivor: a table `survivor` with the `id` of the survivor. @param deviceId a
 * column
 */
export const survivorOf = (deviceId: string) => `lateral (
    with recursive up (id, merged_into) as (
      select d.id, d.merged_into from user_devices d where d.user_id = $1 and d.id = ${deviceId}
      union select d.id, d.merged_into from up join user_devices d on d.user_id = $1 and d.id = up.merged_into
    ) select up.id from up where up.merged_into is null
  ) survivor`

/**
 * From survivors to merged devices, for use after `with recursive`: a table `line` of survivors and all
 * devices merged into them.
 * @param survivors a query for their `id` and `router_id`
 */
export const lineOf = (survivors: string) => `line (id, router_id, survivor) as (
    select s.id, s.router_id, s.id from (${survivors}) s
    union select d.id, d.router_id, l.survivor from line l
      join user_devices d on d.user_id = $1 and d.router_id = l.router_id and d.merged_into = l.id
  )`

/** The device with the id in a parameter, unless it was merged into another. */
export const deviceAt = (parameter: '$2' | '$3') =>
  `select d.id, d.router_id from user_devices d where d.user_id = $1 and d.id = ${parameter} and d.merged_into is null`

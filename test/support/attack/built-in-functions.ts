/**
 * Functions of PostgreSQL that PUBLIC may execute and that do more than compute (they are declared VOLATILE).
 * Each has the reason why it needs no fence (`src/database/setup.ts`). A function of a later PostgreSQL needs
 * a reason here before the test passes.
 */
import type { Ground } from './attack-database.ts'

const HARMLESS: [name: RegExp, why: string][] = [
  [
    /^(clock_timestamp|timeofday|random|random_normal|gen_random_uuid|uuidv[47]|array_(sample|shuffle))$/,
    'time and chance',
  ],
  [
    /^(current_query|pg_stat_clear_snapshot|pg_stat_force_next_flush)$/,
    'the session’s own statement and counters',
  ],
  [
    /^(nextval|currval|lastval|setval|pg_sequence_last_value|pg_get_sequence_data)$/,
    'ask for rights on the sequence; there is none (R29)',
  ],
  [/^binary_upgrade_/, 'refuse outside of pg_upgrade'],
  [/^pg_extension_config_dump$/, 'refuses outside of an extension’s script'],
  [
    /^(brin_|gin_clean_pending_list|pg_(clear|restore)_(attribute|relation)_stats)/,
    'ask whether the caller owns or maintains the table',
  ],
  [
    /^pg_((copy|create|drop)_.*replication_slot|logical_slot_.*|replication_slot_advance|sync_replication_slots)$/,
    'ask for REPLICATION',
  ],
  [
    /^pg_(nextoid|stop_making_pinned_objects|import_system_collations|read_file_old|rotate_logfile_old)$/,
    'ask for a superuser',
  ],
  [
    /^pg_(database|indexes|relation|table|tablespace|total_relation)_size$/,
    'volume, of all people together (R30)',
  ],
  [/^pg_stat_get_(backend_(io|wal)|io|recovery_prefetch|xact_.*)$/, 'volume, of all people together (R30)'],
  [
    /^pg_((current|last)_(wal|xact)_.*|wal_summary_contents|available_wal_summaries|get_wal_.*|is_wal_replay_paused|is_in_recovery)$/,
    'the log as a whole',
  ],
  [/^pg_control_/, 'the server as a whole'],
  [
    /^pg_(lock_status|blocking_pids|safe_snapshot_blocking_pids|isolation_test_session_is_blocked|get_multixact_members)$/,
    'who waits for whom, by number',
  ],
  [
    /^(txid_status|pg_xact_.*|pg_last_committed_xact|pg_prepared_xact|pg_notification_queue_usage)$/,
    'transactions, by number',
  ],
  [
    /^(amvalidate|pg_partition_(ancestors|tree)|pg_(database_)?collation_actual_version|plpgsql_validator)$/,
    'the catalogue',
  ],
  [/^pg_(jit_available|get_loaded_modules|get_wait_events|get_wal_resource_managers)$/, 'the software'],
]

/** The functions without a reason above. */
export async function unjustifiedFunctions({ superuser, roles }: Ground): Promise<string[]> {
  const { rows } = await superuser.query<{ name: string; signature: string }>(
    `select p.proname as name, p.oid::regprocedure::text as signature from pg_proc p
      where p.pronamespace = 'pg_catalog'::regnamespace and p.provolatile = 'v' and p.prokind in ('f', 'p')
        -- What takes or gives what SQL cannot hold is not for calling.
        and p.prorettype <> all ($2::regtype[]) and 'internal'::regtype <> all (p.proargtypes)
        and exists (select from unnest($1::text[]) role where has_function_privilege(role, p.oid, 'execute')) order by 2`,
    [
      [roles.server, roles.user, roles.agent, roles.auth, roles.admin],
      [
        'trigger',
        'event_trigger',
        'internal',
        'fdw_handler',
        'index_am_handler',
        'table_am_handler',
        'tsm_handler',
        'language_handler',
      ],
    ],
  )
  return rows
    .filter(({ name }) => !HARMLESS.some(([pattern]) => pattern.test(name)))
    .map(({ signature }) => signature)
}

/**
 * Many people, and one who has as many rows as hundreds of them, created without row security: they show when
 * a statement reads too much.
 */
import type pg from 'pg'

const OTHERS = 1_500

/** The rows of a router; the names of the arguments are those of its columns. */
const ROUTER_HAS = (devices: number, entries: number) => `
  insert into user_devices (user_id, router_id, hostname) select user_id, id, 'host-' || n from mine, generate_series(1, ${devices}) n;
  insert into user_device_interfaces (user_id, router_id, device_id, mac, ips)
    select user_id, router_id, d.id, substr(md5(d.id::text), 1, 12)::macaddr, array['10.0.0.0'::inet + row_number() over (partition by router_id)]
    from user_devices d join mine using (user_id) where router_id = mine.id;
  insert into user_device_groups (user_id, router_id, group_name) select user_id, id, 'group-' || n from mine, generate_series(1, 3) n;
  insert into user_whitelists (user_id, router_id, mac) select user_id, id, substr(md5(id || 'w' || n), 1, 12)::macaddr from mine, generate_series(1, ${entries}) n;
  insert into user_blacklists (user_id, router_id, mac) select user_id, id, substr(md5(id || 'b' || n), 1, 12)::macaddr from mine, generate_series(1, ${entries}) n;
  insert into user_blocked_devices (user_id, router_id, device_id, block_type)
    select user_id, router_id, d.id, 'manual' from (select d.*, row_number() over (partition by router_id) as n from user_devices d join mine using (user_id)
      where router_id = mine.id) d where n <= ${entries};
  insert into user_schedule_overrides (user_id, router_id, device_id, decision, until)
    select user_id, router_id, device_id, 'allow', '2100-01-01' from user_blocked_devices b join mine using (user_id) where router_id = mine.id;
  insert into user_schedules (user_id, router_id, device_id, schedule_kind, days, start_time, end_time)
    select user_id, router_id, device_id, 'blocked-during', '{mon}', '21:00', '07:00' from user_blocked_devices b join mine using (user_id) where router_id = mine.id;
  insert into user_device_merges (user_id, router_id, device_id, merged_device_id, interfaces, filled)
    select b.user_id, b.router_id, b.device_id, b.device_id, '{}', '{}' from user_blocked_devices b join mine using (user_id) where router_id = mine.id;`

const PERSON_HAS = (acts: number, scans: number) => `
  insert into user_audit_heads (user_id, sequence) select distinct user_id, ${acts} from mine on conflict (user_id) do update set sequence = ${acts};
  insert into user_audit_log (user_id, sequence, at, actor_kind, act, outcome, hash)
    select user_id, n, now() - (${acts} - n) * interval '1 minute', 'user', 'login', 'success', sha256('x') from (select distinct user_id from mine) m,
      generate_series(1, ${acts}) n on conflict do nothing;
  insert into user_scans (user_id, router_id, scan_id, body_sha256, taken_at, answer)
    select user_id, id, 'scan-' || n, sha256('x'), now(), '{}' from mine, generate_series(1, ${scans}) n;
  insert into user_login_sessions (user_id, idle_expires_at, expires_at) select user_id, '2100-01-01', '2100-01-01' from mine, generate_series(1, 3);
  insert into user_tokens (user_id, purpose, token_sha256, password_version, expires_at)
    select user_id, 'reset-password', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 1, '2100-01-01' from mine on conflict do nothing;
  insert into user_recovery_codes (user_id, code_sha256)
    select user_id, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) from mine, generate_series(1, 5);
  insert into user_settings (user_id, router_id, setting_key, setting_value) select user_id, id, 'theme-' || n, '1' from mine, generate_series(1, 3) n;
  insert into user_api_keys (user_id, kind, key_id, prefix, secret_sha256, scopes)
    select user_id, 'personal', substr(md5(id || 'k' || n), 1, 12), md5(id || 'k' || n), sha256('x'), '{devices:read}' from mine, generate_series(1, 1) n;`

/** @param owner who gets many rows: an account that exists, with a router `Large` */
export async function fillLargeCatalogue(superuser: pg.ClientBase, owner: string): Promise<void> {
  await superuser.query(`
    insert into users (email) select n || '@large.example' from generate_series(1, ${OTHERS}) n;
    insert into user_emails (email, user_id) select email, id from users where email like '%@large.example';
    insert into user_providers (user_id, provider, subject) select id, 'google', email from users where email like '%@large.example';
    insert into user_identities (user_id, provider, subject) select user_id, provider, subject from user_providers where subject like '%@large.example';
    insert into user_credentials (user_id, password_hash) select id, '$2b$04$' || repeat('a', 53) from users where email like '%@large.example';
    insert into user_routers (user_id, router_name) select id, 'Home' from users where email like '%@large.example';
    create temporary table mine as select user_id, id from user_routers where router_name = 'Home';
    ${ROUTER_HAS(30, 5)}
    ${PERSON_HAS(50, 100)}
    truncate mine`)
  await superuser.query(
    `insert into user_routers (user_id, router_name) select $1, 'Large ' || n from generate_series(1, 19) n`,
    [owner],
  )
  await superuser.query(`
    insert into mine select user_id, id from user_routers where router_name like 'Large%';
    ${ROUTER_HAS(250, 50)}
    ${PERSON_HAS(50_000, 1_000)}
    drop table mine`)
  await superuser.query('analyze')
}

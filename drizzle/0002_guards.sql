-- What drizzle-kit cannot write: row security that binds the owner too, and who may do what. Policies are in place by now, so a grant
-- never precedes its policy. Verbs are named one by one: ALL would include TRUNCATE, which row security does not see.

do $$
declare
  t regclass;
begin
  for t in select c.oid::regclass from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') loop
    execute format('alter table %s force row level security', t);
  end loop;
end
$$;

-- What the identity functions look up.
grant select (id, role, is_active) on users to netpilot_context;
grant select (user_id, has_password) on user_credentials to netpilot_context;
grant select (user_id, id, ended_at, idle_expires_at, expires_at) on user_login_sessions to netpilot_context;
grant select (user_id, id) on user_routers to netpilot_context;
grant select (user_id, key_id, kind, router_id, scopes, secret_sha256, revoked_at, expires_at, retires_at, last_used_at), update (last_used_at)
  on user_api_keys to netpilot_context;

-- Signing in and credentials: a login of its own.
grant select, insert, update, delete on users, user_credentials, user_tokens, user_recovery_codes to netpilot_auth;
grant select, insert, update on user_login_sessions, user_api_keys to netpilot_auth;
grant select, insert on user_audit_log to netpilot_auth;

-- A signed-in person: everything they own, but neither credentials nor sessions nor keys, and never their own role or state.
grant select on users to netpilot_user;
grant update (full_name, avatar_url, updated_at) on users to netpilot_user;
grant select, insert, update, delete on
  user_routers, user_device_groups, user_devices, user_device_interfaces, user_device_merges, user_whitelists, user_blacklists,
  user_blocked_devices, user_schedules, user_schedule_overrides, user_settings
  to netpilot_user;
grant select on user_scans to netpilot_user;
grant select, insert on user_audit_log to netpilot_user;
grant select on oui_prefixes to netpilot_user, netpilot_agent;

-- The agent of one router: it reports what it sees and reads what it must enforce. What a person typed is out of its reach.
grant select on
  user_routers, user_device_groups, user_devices, user_device_interfaces, user_whitelists, user_blacklists, user_blocked_devices,
  user_schedules, user_schedule_overrides, user_scans
  to netpilot_agent;
grant update (last_seen, applied_revision, applied_at, agent_error) on user_routers to netpilot_agent;
grant insert (user_id, id, router_id, hostname, detected_manufacturer, approval, first_seen, last_seen),
  update (hostname, detected_manufacturer, merged_into, last_seen) on user_devices to netpilot_agent;
grant insert (user_id, id, router_id, device_id, mac, ips, first_seen), update (device_id, mac, ips) on user_device_interfaces to netpilot_agent;
grant insert, delete on user_scans to netpilot_agent;
grant update (answer) on user_scans to netpilot_agent;

-- Scans update the same rows every few minutes: room in the page keeps those updates HOT.
alter table user_devices set (fillfactor = 80);
alter table user_device_interfaces set (fillfactor = 80);
alter table user_routers set (fillfactor = 70);

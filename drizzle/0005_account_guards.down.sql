set local role netpilot_context;

drop function ctx.purge(integer);
drop function ctx.revoke_personal_keys(uuid);
drop function ctx.audit_gaps();
drop function ctx.erase_acts(uuid);
drop function ctx.record_admin_act(uuid, text, text, inet, jsonb);
drop function ctx.record_act_of(uuid, text, text, text, inet, jsonb);
drop function ctx.record_act(text, text, uuid, text, inet, jsonb);
drop function ctx.append_act(uuid, text, uuid, text, text, uuid, text, inet, jsonb);
drop function ctx.personal_sha256(bytea, inet, jsonb);
drop function ctx.act_hash(public.user_audit_log);

set local role netpilot_owner;

revoke update (revoked_at) on user_api_keys from netpilot_context;
revoke select (user_id, id, last_seen) on user_routers from netpilot_admin;
revoke select (user_id, id, merged_into) on user_devices from netpilot_admin;
revoke select on user_audit_log from netpilot_admin;
revoke insert (user_id, purpose, token_sha256, email, password_version, expires_at) on user_tokens from netpilot_admin;
revoke select (user_id, public_id, device, address, created_at, last_used_at, idle_expires_at, expires_at, ended_at, end_reason),
  update (ended_at, end_reason) on user_login_sessions from netpilot_admin;
revoke select (user_id, has_password, totp_confirmed_at) on user_credentials from netpilot_admin;
revoke select (id, email, full_name, avatar_url, role, is_active, suspended_at, email_verified_at, password_version, created_at, updated_at, google_id),
  insert (email, full_name, role), update (role, is_active, suspended_at, updated_at), delete on users from netpilot_admin;

revoke all on sign_in_attempts, rate_counters from netpilot_auth, netpilot_context;
revoke delete on user_login_sessions from netpilot_context;
revoke select (user_id, expires_at), delete on user_tokens from netpilot_context;
revoke all on user_audit_heads from netpilot_context;
revoke select, insert, delete, update (address, detail, salt) on user_audit_log from netpilot_context;
grant select, insert on user_audit_log to netpilot_auth;
grant insert on user_audit_log to netpilot_user;

alter table user_audit_heads no force row level security;
alter table rate_counters no force row level security;
alter table sign_in_attempts no force row level security;
alter table rate_counters set logged;
alter table sign_in_attempts set logged;

-- When the person of a login session last proved who they are. Sessions from before this migration have no proof yet.
alter table user_login_sessions add column proven_at timestamptz not null default 'epoch';
alter table user_login_sessions alter column proven_at set default now();

set local role netpilot_context;

-- As before, and now tells how many keys it revoked: the owner reads the number in a mail.
drop function ctx.revoke_personal_keys(uuid);
create function ctx.revoke_personal_keys(p_user uuid) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_revoked integer;
begin
  update public.user_api_keys set revoked_at = now()
   where user_id = p_user and kind = 'personal' and revoked_at is null
     and (expires_at is null or expires_at > now()) and (retires_at is null or retires_at > now());
  get diagnostics v_revoked = row_count;
  return v_revoked;
end
$$;

revoke all on function ctx.revoke_personal_keys(uuid) from public;
grant execute on function ctx.revoke_personal_keys(uuid) to netpilot_auth;

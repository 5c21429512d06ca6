set local role netpilot_context;

drop function ctx.revoke_personal_keys(uuid);
create function ctx.revoke_personal_keys(p_user uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update public.user_api_keys set revoked_at = now() where user_id = p_user and kind = 'personal' and revoked_at is null;
end
$$;

revoke all on function ctx.revoke_personal_keys(uuid) from public;
grant execute on function ctx.revoke_personal_keys(uuid) to netpilot_auth;

set local role netpilot_owner;

alter table user_login_sessions drop column proven_at;

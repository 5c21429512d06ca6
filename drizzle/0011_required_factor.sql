-- Asked as a transaction begins, where the server is set to it: whether the signed-in person has a second factor.

grant select (totp_confirmed_at) on user_credentials to netpilot_context;

set local role netpilot_context;

create function ctx.require_second_factor(p_of text) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  i text[] := ctx.identity();
begin
  -- Strict: what is not known to be exempt must have one.
  if (p_of = 'admins' and i[3] = 'user') is not true
    and not exists (select from public.user_credentials c where c.user_id = i[2]::uuid and c.totp_confirmed_at is not null) then
    raise exception 'a second factor is required' using errcode = 'NP2FA';
  end if;
end
$$;

revoke all on function ctx.require_second_factor(text) from public;
grant execute on function ctx.require_second_factor(text) to netpilot_server, netpilot_auth, netpilot_admin;

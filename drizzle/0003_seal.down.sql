revoke select (public_id) on user_login_sessions from netpilot_context;
revoke select (id) on user_api_keys from netpilot_context;

set local role netpilot_context;

revoke usage on schema ctx from netpilot_admin;
drop function ctx.is_admin();
drop function ctx.begin_admin_context(uuid, uuid);
drop function ctx.begin_key_context(uuid, text, bytea, text);

create or replace function ctx.identity() returns text[]
language sql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$ select string_to_array(nullif(current_setting('app.current_user_id', true), ''), '|') $$;

drop function ctx.assume(text, uuid, text, uuid, text[], uuid);
create function ctx.assume(kind text, user_id uuid, role text, router_id uuid, scopes text[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if nullif(current_setting('app.current_user_id', true), '') is not null then
    raise exception 'this transaction already has an identity' using errcode = 'NP403';
  end if;
  -- Inert on plain PostgreSQL; on Citus it makes the next statement reach the workers.
  set local citus.propagate_set_commands = 'local';
  execute format('set local app.current_user_id = %L',
    concat_ws('|', kind, user_id, coalesce(role, ''), coalesce(router_id::text, ''), array_to_string(coalesce(scopes, '{}'), ' ')));
end
$$;

create or replace function ctx.begin_context(p_user uuid, p_session uuid) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_role text;
begin
  select u.role into v_role
    from public.user_login_sessions s
    join public.users u on u.id = s.user_id
   where s.user_id = p_user and s.id = p_session
     and s.ended_at is null and s.idle_expires_at > now() and s.expires_at > now()
     and u.is_active;
  if v_role is null then
    raise exception 'no live login session' using errcode = 'NP401';
  end if;
  perform ctx.assume('user', p_user, v_role, null, null);
  return v_role;
end
$$;

create or replace function ctx.begin_agent_context(p_user uuid, p_key text, p_sha256 bytea, out router_id uuid, out scopes text[])
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  select k.router_id, k.scopes into begin_agent_context.router_id, begin_agent_context.scopes
    from public.user_api_keys k
    join public.users u on u.id = k.user_id
   where k.user_id = p_user and k.key_id = p_key and k.kind = 'agent' and k.secret_sha256 = p_sha256
     and k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and (k.retires_at is null or k.retires_at > now())
     and u.is_active;
  if begin_agent_context.router_id is null then
    raise exception 'no live key' using errcode = 'NP401';
  end if;
  perform ctx.assume('agent', p_user, null, begin_agent_context.router_id, begin_agent_context.scopes);
end
$$;

revoke all on function ctx.assume(text, uuid, text, uuid, text[]) from public;

drop function ctx.mac(text);
drop table ctx.seal_key;

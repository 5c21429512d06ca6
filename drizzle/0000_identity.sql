-- Who is asking. One transaction has one identity, set once, by a function that proves it; policies read it through functions too.
--
-- The identity travels in one setting, app.current_user_id, as kind|user|role|router|scopes. It is set with SET LOCAL inside the function:
-- set_config() would stay on the coordinator of a distributed PostgreSQL, and is revoked where the server allows it.
-- The functions belong to a role that nobody can log in as, so that only they can read login sessions and keys.

set local role netpilot_context;

-- The parts of the identity, or null. Every other function goes through this one; nothing else reads the setting.
-- (The setting is null before its first use on a connection and '' after, hence nullif.)
create function ctx.identity() returns text[]
language sql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$ select string_to_array(nullif(current_setting('app.current_user_id', true), ''), '|') $$;

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

-- A signed-in person: the login session must be live, the account active. Answers the role, which is always the database's.
create function ctx.begin_context(p_user uuid, p_session uuid) returns text
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

-- The agent of one router: the SHA-256 of its key's secret is the proof.
create function ctx.begin_agent_context(p_user uuid, p_key text, p_sha256 bytea, out router_id uuid, out scopes text[])
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

-- For policies. Each answers null unless the identity is of its kind, so that switching between request roles gains nothing.
create function ctx.uid() returns uuid
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  i text[] := ctx.identity();
begin
  return case when i[1] = 'user' then i[2]::uuid end;
end
$$;

create function ctx.agent_uid() returns uuid
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  i text[] := ctx.identity();
begin
  return case when i[1] = 'agent' then i[2]::uuid end;
end
$$;

create function ctx.agent_router() returns uuid
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  i text[] := ctx.identity();
begin
  return case when i[1] = 'agent' then i[4]::uuid end;
end
$$;

-- Whether the signed-in person has a password, without giving their role access to credentials.
create function ctx.has_password() returns boolean
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from public.user_credentials c where c.user_id = ctx.uid() and c.has_password);
end
$$;

-- Last use of agents' keys, collected by the server and written in batches outside of requests. Never moves a time back.
create function ctx.record_key_use(p_users uuid[], p_keys text[], p_times timestamptz[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update public.user_api_keys k
     set last_used_at = used.at
    from unnest(p_users, p_keys, p_times) as used(user_id, key_id, at)
   where k.user_id = used.user_id and k.key_id = used.key_id and (k.last_used_at is null or k.last_used_at < used.at);
end
$$;

-- Tells every server that the policy of a router may have changed, when the transaction commits. Only for a router of the identity; the
-- channel carries nothing but its id, since anybody who can log in may listen.
create function ctx.wake(p_router uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_router = ctx.agent_router() or exists (select from public.user_routers r where r.user_id = ctx.uid() and r.id = p_router) then
    perform pg_notify('netpilot_policy', p_router::text);
  end if;
end
$$;

-- What has been applied, for readiness and the start-up check, which run before anybody is known.
create function ctx.applied_migrations() returns table (name text, sha256 bytea)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query select m.name, m.sha256 from drizzle.migrations m order by m.name;
end
$$;

revoke all on all functions in schema ctx from public;

grant usage on schema ctx to netpilot_owner, netpilot_server, netpilot_auth, netpilot_user, netpilot_agent;
grant execute on function ctx.begin_context(uuid, uuid) to netpilot_server, netpilot_auth;
grant execute on function ctx.begin_agent_context(uuid, text, bytea) to netpilot_server;
grant execute on function ctx.record_key_use(uuid[], text[], timestamptz[]) to netpilot_auth;
grant execute on function ctx.applied_migrations() to netpilot_server;
grant execute on function ctx.wake(uuid) to netpilot_user, netpilot_agent;
grant execute on function ctx.uid() to netpilot_user, netpilot_auth;
grant execute on function ctx.has_password() to netpilot_user;
grant execute on function ctx.agent_uid(), ctx.agent_router() to netpilot_agent;

-- The identity of a transaction is sealed: whoever can run any SQL as a request role can write the setting, but not the MAC in it, and every
-- policy asks a function that verifies it. (docs/isolation.md says what that is worth.)
--
-- app.current_user_id is kind|user|role|router|scopes|proof|at|mac: proof is the public id of the login session or the id of the key that it
-- rests on, at the start of the transaction in seconds. The MAC covers all before it, the backend, and the transaction. It is NMAC over
-- SHA-256 (Bellare, Canetti, Krawczyk 1996), of which HMAC is the form with one key: with two keys it is two calls of a built-in function.

set local role netpilot_context;

-- One row. On a distributed PostgreSQL policies run on other backends and in other transactions than the one that the seal was made in: there
-- is_bound is false, and a seal is good for its minute instead of for its transaction.
create table ctx.seal_key (
  is_only boolean primary key default true check (is_only),
  inner_key bytea not null check (octet_length(inner_key) = 64),
  outer_key bytea not null check (octet_length(outer_key) = 64),
  is_bound boolean not null default true
);
-- Without a policy nobody but its owner sees the row, whatever is granted.
alter table ctx.seal_key enable row level security;
insert into ctx.seal_key (inner_key, outer_key)
  select string_agg(uuid_send(gen_random_uuid()), '') filter (where n <= 4), string_agg(uuid_send(gen_random_uuid()), '') filter (where n > 4)
    from generate_series(1, 8) n;

create function ctx.mac(p_body text) returns text
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_mac text;
begin
  -- strict: without a key the MAC must not become null, which would compare as "not different".
  select encode(sha256(k.outer_key || sha256(k.inner_key || convert_to(
           concat_ws('|', p_body, case when k.is_bound then concat_ws('|', pg_backend_pid(), extract(epoch from now())) end), 'UTF8'))), 'hex')
    into strict v_mac from ctx.seal_key k;
  return v_mac;
end
$$;

drop function ctx.assume(text, uuid, text, uuid, text[]);
create function ctx.assume(p_kind text, p_user uuid, p_role text, p_router uuid, p_scopes text[], p_proof uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_body text := concat_ws('|', p_kind, p_user, coalesce(p_role, ''), coalesce(p_router::text, ''),
    array_to_string(coalesce(p_scopes, '{}'), ' '), p_proof, extract(epoch from now()));
begin
  if nullif(current_setting('app.current_user_id', true), '') is not null then
    raise exception 'this transaction already has an identity' using errcode = 'NP403';
  end if;
  -- Inert on plain PostgreSQL; on Citus it makes the next statement reach the workers.
  set local citus.propagate_set_commands = 'local';
  execute format('set local app.current_user_id = %L', v_body || '|' || ctx.mac(v_body));
end
$$;

-- The parts of the identity, or null where there is none. What was not sealed for this transaction, in the last minute, is an error.
create or replace function ctx.identity() returns text[]
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_sealed text := nullif(current_setting('app.current_user_id', true), '');
  v_parts text[] := string_to_array(v_sealed, '|');
begin
  if v_sealed is null then
    return null;
  end if;
  if cardinality(v_parts) is distinct from 8 or right(v_sealed, 64) is distinct from ctx.mac(left(v_sealed, -65))
    or abs(extract(epoch from clock_timestamp()) - v_parts[7]::numeric) > 60 then
    raise exception 'the identity was not sealed for this transaction' using errcode = 'NP403';
  end if;
  return v_parts;
end
$$;

create or replace function ctx.begin_context(p_user uuid, p_session uuid) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_role text;
  v_proof uuid;
begin
  select u.role, s.public_id into v_role, v_proof
    from public.user_login_sessions s
    join public.users u on u.id = s.user_id
   where s.user_id = p_user and s.id = p_session
     and s.ended_at is null and s.idle_expires_at > now() and s.expires_at > now()
     and u.is_active;
  if v_role is null then
    raise exception 'no live login session' using errcode = 'NP401';
  end if;
  perform ctx.assume('user', p_user, v_role, null, null, v_proof);
  return v_role;
end
$$;

create or replace function ctx.begin_agent_context(p_user uuid, p_key text, p_sha256 bytea, out router_id uuid, out scopes text[])
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_proof uuid;
begin
  select k.router_id, k.scopes, k.id into begin_agent_context.router_id, begin_agent_context.scopes, v_proof
    from public.user_api_keys k
    join public.users u on u.id = k.user_id
   where k.user_id = p_user and k.key_id = p_key and k.kind = 'agent' and k.secret_sha256 = p_sha256
     and k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and (k.retires_at is null or k.retires_at > now())
     and u.is_active;
  if begin_agent_context.router_id is null then
    raise exception 'no live key' using errcode = 'NP401';
  end if;
  perform ctx.assume('agent', p_user, null, begin_agent_context.router_id, begin_agent_context.scopes, v_proof);
end
$$;

-- A script of a person: like the person, without their role, and only with the scope that the request needs.
create function ctx.begin_key_context(p_user uuid, p_key text, p_sha256 bytea, p_scope text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_scopes text[];
  v_proof uuid;
begin
  select k.scopes, k.id into v_scopes, v_proof
    from public.user_api_keys k
    join public.users u on u.id = k.user_id
   where k.user_id = p_user and k.key_id = p_key and k.kind = 'personal' and k.secret_sha256 = p_sha256
     and k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and (k.retires_at is null or k.retires_at > now())
     and u.is_active;
  if v_scopes is null then
    raise exception 'no live key' using errcode = 'NP401';
  end if;
  if (p_scope = any(v_scopes)) is not true then
    raise exception 'the key lacks the scope' using errcode = 'NPSCP';
  end if;
  perform ctx.assume('user', p_user, null, null, v_scopes, v_proof);
end
$$;

-- A signed-in person who is an administrator now.
create function ctx.begin_admin_context(p_user uuid, p_session uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if ctx.begin_context(p_user, p_session) is distinct from 'admin' then
    raise exception 'not an administrator' using errcode = 'NP404';
  end if;
end
$$;

create function ctx.is_admin() returns boolean
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  i text[] := ctx.identity();
begin
  return coalesce(i[1] = 'user' and i[3] = 'admin', false);
end
$$;

revoke all on all functions in schema ctx from public;
grant usage on schema ctx to netpilot_admin;
grant execute on function ctx.begin_key_context(uuid, text, bytea, text) to netpilot_server;
grant execute on function ctx.begin_admin_context(uuid, uuid), ctx.is_admin() to netpilot_admin;

set local role netpilot_owner;
grant select (public_id) on user_login_sessions to netpilot_context;
grant select (id) on user_api_keys to netpilot_context;

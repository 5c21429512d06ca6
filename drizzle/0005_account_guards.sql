-- What drizzle-kit cannot write for accounts: forced row security, grants, and the audit log's only pen.

alter table sign_in_attempts set unlogged;
alter table rate_counters set unlogged;
alter table sign_in_attempts force row level security;
alter table rate_counters force row level security;
alter table user_audit_heads force row level security;

-- Who serves requests can neither change nor forge what is in the audit log: it is written by functions of the context role.
revoke select, insert on user_audit_log from netpilot_auth;
revoke insert on user_audit_log from netpilot_user;
grant select, insert, delete, update (address, detail, salt) on user_audit_log to netpilot_context;
grant select, insert, update, delete on user_audit_heads to netpilot_context;

-- Housekeeping.
grant select (user_id, expires_at), delete on user_tokens to netpilot_context;
grant delete on user_login_sessions to netpilot_context;
grant select (window_start), delete on rate_counters to netpilot_context;
grant select (last_failed_at, locked_until), delete on sign_in_attempts to netpilot_context;

grant select, insert, update, delete on sign_in_attempts, rate_counters to netpilot_auth;

-- Administration: accounts and their login sessions (never the capability that opens one), the log, and as much of homes as can be counted.
grant select (id, email, full_name, avatar_url, role, is_active, suspended_at, email_verified_at, password_version, created_at, updated_at, google_id),
  insert (email, full_name, role), update (role, is_active, suspended_at, updated_at), delete on users to netpilot_admin;
grant select (user_id, has_password, totp_confirmed_at) on user_credentials to netpilot_admin;
grant select (user_id, public_id, device, address, created_at, last_used_at, idle_expires_at, expires_at, ended_at, end_reason),
  update (ended_at, end_reason) on user_login_sessions to netpilot_admin;
grant insert (user_id, purpose, token_sha256, email, password_version, expires_at) on user_tokens to netpilot_admin;
grant select on user_audit_log to netpilot_admin;
grant select (user_id, id, last_seen) on user_routers to netpilot_admin;
grant select (user_id, id, merged_into) on user_devices to netpilot_admin;

-- Keys of whoever registered an account that was not theirs.
grant update (revoked_at) on user_api_keys to netpilot_context;

set local role netpilot_context;

-- What a link of the chain vouches for. Address and detail are in it by their salted digest, so that they can be erased.
create function ctx.act_hash(p_link public.user_audit_log) returns bytea
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return sha256(convert_to(jsonb_build_array(p_link.user_id, p_link.sequence, extract(epoch from p_link.at), p_link.actor_kind, p_link.actor_id,
    p_link.act, p_link.target_kind, p_link.target_id, p_link.outcome, encode(p_link.personal_sha256, 'hex'),
    encode(p_link.previous_hash, 'hex'))::text, 'UTF8'));
end
$$;

create function ctx.personal_sha256(p_salt bytea, p_address inet, p_detail jsonb) returns bytea
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return sha256(p_salt || convert_to(jsonb_build_array(host(p_address), p_detail)::text, 'UTF8'));
end
$$;

create function ctx.append_act(p_user uuid, p_actor_kind text, p_actor uuid, p_act text, p_target_kind text, p_target uuid, p_outcome text,
  p_address inet, p_detail jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_link public.user_audit_log;
begin
  -- The head is held until the transaction ends: of acts at once, one appends after the other.
  insert into public.user_audit_heads as h (user_id, sequence) values (p_user, 1)
    on conflict (user_id) do update set sequence = h.sequence + 1
    returning h.sequence, h.hash into v_link.sequence, v_link.previous_hash;
  v_link.user_id := p_user;
  v_link.at := now();
  v_link.actor_kind := p_actor_kind;
  v_link.actor_id := p_actor;
  v_link.act := p_act;
  v_link.target_kind := p_target_kind;
  v_link.target_id := p_target;
  v_link.outcome := p_outcome;
  v_link.address := p_address;
  v_link.detail := p_detail;
  v_link.salt := uuid_send(gen_random_uuid());
  v_link.personal_sha256 := ctx.personal_sha256(v_link.salt, p_address, p_detail);
  v_link.hash := ctx.act_hash(v_link);
  insert into public.user_audit_log values (v_link.*);
  update public.user_audit_heads h set hash = v_link.hash where h.user_id = p_user;
end
$$;

-- What a signed-in person does, in person or by a script; which of the two, and by which session or key, the log says too.
create function ctx.record_act(p_act text, p_target_kind text, p_target uuid, p_outcome text, p_address inet, p_detail jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  i text[] := ctx.identity();
begin
  if (i[1] = 'user') is not true then
    raise exception 'nobody is signed in' using errcode = 'NP403';
  end if;
  perform ctx.append_act(i[2]::uuid, 'user', i[2]::uuid, p_act, p_target_kind, p_target, p_outcome, p_address,
    coalesce(p_detail, '{}') || jsonb_build_object(case when i[5] = '' then 'sessionId' else 'keyId' end, i[6]));
end
$$;

-- What happens to an account while nobody is signed in. Who tried and failed is not known to be the owner.
create function ctx.record_act_of(p_user uuid, p_actor_kind text, p_act text, p_outcome text, p_address inet, p_detail jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if ctx.identity() is not null then
    raise exception 'who is signed in records their own acts' using errcode = 'NP403';
  end if;
  perform ctx.append_act(p_user, p_actor_kind, case when p_actor_kind = 'user' and p_outcome = 'success' then p_user end,
    p_act, null, null, p_outcome, p_address, p_detail);
end
$$;

-- What an administrator does to an account stands in that account's log.
create function ctx.record_admin_act(p_user uuid, p_act text, p_outcome text, p_address inet, p_detail jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not ctx.is_admin() then
    raise exception 'not an administrator' using errcode = 'NP403';
  end if;
  perform ctx.append_act(p_user, 'admin', ctx.uid(), p_act, 'users', p_user, p_outcome, p_address, p_detail);
end
$$;

-- Before an account is deleted: what is personal in its log goes, and the log stays for its time.
create function ctx.erase_acts(p_user uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if (p_user = ctx.uid() or ctx.is_admin()) is not true then
    raise exception 'not the owner of this log' using errcode = 'NP403';
  end if;
  update public.user_audit_log set address = null, detail = null, salt = null where user_id = p_user;
end
$$;

-- Links whose content was changed, whose predecessor is missing, or that are missing themselves.
create function ctx.audit_gaps() returns table (user_id uuid, sequence bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select (l.link).user_id, (l.link).sequence
      from (select a as link, lag(a.hash) over w as before, lag(a.sequence) over w as number
              from public.user_audit_log a window w as (partition by a.user_id order by a.sequence)) l
     where (l.link).hash is distinct from ctx.act_hash(l.link)
        or (l.link).salt is not null
           and (l.link).personal_sha256 is distinct from ctx.personal_sha256((l.link).salt, (l.link).address, (l.link).detail)
        or l.number is not null and ((l.link).sequence <> l.number + 1 or (l.link).previous_hash is distinct from l.before)
    union
    select h.user_id, h.sequence from public.user_audit_heads h
     where not exists (select from public.user_audit_log a where a.user_id = h.user_id and a.sequence = h.sequence and a.hash = h.hash);
end
$$;

-- An account whose address nobody had proven gets its owner: whoever registered it loses their scripts. Before anybody is signed in the auth
-- login sees no keys, hence a function. Keys of routers stay: each knows its own router only.
create function ctx.revoke_personal_keys(p_user uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update public.user_api_keys set revoked_at = now() where user_id = p_user and kind = 'personal' and revoked_at is null;
end
$$;

-- What has had its time: once an hour, by the server.
create function ctx.purge(p_audit_days integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  -- Whoever gets at the auth login must not be able to wipe their traces with it.
  if p_audit_days is null or p_audit_days < 30 then
    raise exception 'the audit log is kept for 30 days at least' using errcode = 'NP403';
  end if;
  delete from public.user_audit_log where at < now() - make_interval(days => p_audit_days);
  delete from public.user_audit_heads h where not exists (select from public.user_audit_log a where a.user_id = h.user_id);
  delete from public.user_tokens where expires_at < now() - interval '1 day';
  delete from public.user_login_sessions where coalesce(ended_at, least(idle_expires_at, expires_at)) < now() - interval '30 days';
  delete from public.rate_counters where window_start < now() - interval '1 day';
  delete from public.sign_in_attempts where greatest(last_failed_at, locked_until) < now() - interval '1 day';
end
$$;

revoke all on all functions in schema ctx from public;
grant execute on function ctx.record_act(text, text, uuid, text, inet, jsonb) to netpilot_user, netpilot_auth;
grant execute on function ctx.record_act_of(uuid, text, text, text, inet, jsonb) to netpilot_auth;
grant execute on function ctx.record_admin_act(uuid, text, text, inet, jsonb) to netpilot_admin;
grant execute on function ctx.erase_acts(uuid) to netpilot_auth, netpilot_admin;
grant execute on function ctx.revoke_personal_keys(uuid) to netpilot_auth;
grant execute on function ctx.purge(integer) to netpilot_auth;

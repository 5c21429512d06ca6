-- Functions in the shape that a sharded PostgreSQL takes as well: no argument is a whole row of a table (a shard's row has another type), a
-- look-up names its owner before it begins, and nothing is read as the context role that was written in the same transaction by another.

set local role netpilot_context;

drop function ctx.act_hash(public.user_audit_log);
-- What a link of the chain vouches for. Address and detail are in it by their salted digest, so that they can be erased.
create function ctx.act_hash(p_user uuid, p_sequence bigint, p_at timestamptz, p_actor_kind text, p_actor uuid, p_act text,
  p_target_kind text, p_target uuid, p_outcome text, p_personal_sha256 bytea, p_previous_hash bytea) returns bytea
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return sha256(convert_to(jsonb_build_array(p_user, p_sequence, extract(epoch from p_at), p_actor_kind, p_actor,
    p_act, p_target_kind, p_target, p_outcome, encode(p_personal_sha256, 'hex'), encode(p_previous_hash, 'hex'))::text, 'UTF8'));
end
$$;

create or replace function ctx.append_act(p_user uuid, p_actor_kind text, p_actor uuid, p_act text, p_target_kind text, p_target uuid,
  p_outcome text, p_address inet, p_detail jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_sequence bigint;
  v_previous bytea;
  v_salt bytea := uuid_send(gen_random_uuid());
  v_personal bytea := ctx.personal_sha256(v_salt, p_address, p_detail);
  v_hash bytea;
begin
  -- The head is held until the transaction ends: of acts at once, one appends after the other.
  insert into public.user_audit_heads as h (user_id, sequence) values (p_user, 1)
    on conflict (user_id) do update set sequence = h.sequence + 1
    returning h.sequence, h.hash into v_sequence, v_previous;
  v_hash := ctx.act_hash(p_user, v_sequence, now(), p_actor_kind, p_actor, p_act, p_target_kind, p_target, p_outcome, v_personal, v_previous);
  insert into public.user_audit_log
      (user_id, sequence, at, actor_kind, actor_id, act, target_kind, target_id, outcome, address, detail, salt, personal_sha256, previous_hash, hash)
    values (p_user, v_sequence, now(), p_actor_kind, p_actor, p_act, p_target_kind, p_target, p_outcome, p_address, p_detail, v_salt, v_personal,
      v_previous, v_hash);
  update public.user_audit_heads h set hash = v_hash where h.user_id = p_user;
end
$$;

create or replace function ctx.audit_gaps() returns table (user_id uuid, sequence bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select l.user_id, l.sequence
      from (select a.*, lag(a.hash) over w as before, lag(a.sequence) over w as number
              from public.user_audit_log a left join ctx.audit_restarts() r on r.user_id = a.user_id
             where a.sequence >= coalesce(r.sequence, 0)
            window w as (partition by a.user_id order by a.sequence)) l
     where l.hash is distinct from ctx.act_hash(l.user_id, l.sequence, l.at, l.actor_kind, l.actor_id, l.act, l.target_kind, l.target_id,
             l.outcome, l.personal_sha256, l.previous_hash)
        or l.salt is not null and l.personal_sha256 is distinct from ctx.personal_sha256(l.salt, l.address, l.detail)
        or l.number is not null and (l.sequence <> l.number + 1 or l.previous_hash is distinct from l.before)
    union
    select coalesce(h.user_id, n.user_id), coalesce(h.sequence, n.sequence)
      from public.user_audit_heads h
      full join (select distinct on (a.user_id) a.user_id, a.sequence, a.hash from public.user_audit_log a
                  order by a.user_id, a.sequence desc) n on n.user_id = h.user_id
     where (h.sequence, h.hash) is distinct from (n.sequence, n.hash);
end
$$;

create or replace function ctx.has_password() returns boolean
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user uuid := ctx.uid();
begin
  return exists (select 1 from public.user_credentials c where c.user_id = v_user and c.has_password);
end
$$;

create or replace function ctx.email() returns text
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user uuid := ctx.uid();
begin
  return (select u.email from public.users u where u.id = v_user);
end
$$;

-- A wake-up carries a keyed digest of the owner's id and the router's. The owner is whoever the transaction has an identity of, so that nobody
-- wakes a router of anybody else, and no row is read to find out. Servers that run while this is applied hear of changes by the end of a wait.
drop function ctx.wake_digest(uuid);
create function ctx.wake_digest(p_user uuid, p_router uuid) returns text
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_digest text;
begin
  select encode(sha256(k.wake_key || uuid_send(p_user) || uuid_send(p_router)), 'hex') into strict v_digest from ctx.seal_key k;
  return v_digest;
end
$$;

create or replace function ctx.agent_wake_digest() returns text
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return ctx.wake_digest(ctx.agent_uid(), ctx.agent_router());
end
$$;

create or replace function ctx.wake(p_router uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if ctx.uid() is not null then
    perform pg_notify('netpilot_policy', ctx.wake_digest(ctx.uid(), p_router));
  elsif p_router = ctx.agent_router() then
    perform pg_notify('netpilot_policy', ctx.wake_digest(ctx.agent_uid(), p_router));
  end if;
end
$$;

revoke all on all functions in schema ctx from public;

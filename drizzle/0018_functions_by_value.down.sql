set local role netpilot_context;

drop function ctx.wake_digest(uuid, uuid);
create function ctx.wake_digest(p_router uuid) returns text
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_digest text;
begin
  select encode(sha256(k.wake_key || uuid_send(p_router)), 'hex') into strict v_digest from ctx.seal_key k;
  return v_digest;
end
$$;

create or replace function ctx.agent_wake_digest() returns text
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return ctx.wake_digest(ctx.agent_router());
end
$$;

create or replace function ctx.wake(p_router uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_router = ctx.agent_router() or exists (select from public.user_routers r where r.user_id = ctx.uid() and r.id = p_router) then
    perform pg_notify('netpilot_policy', ctx.wake_digest(p_router));
  end if;
end
$$;

create or replace function ctx.email() returns text
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select u.email from public.users u where u.id = ctx.uid());
end
$$;

create or replace function ctx.has_password() returns boolean
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from public.user_credentials c where c.user_id = ctx.uid() and c.has_password);
end
$$;

drop function ctx.act_hash(uuid, bigint, timestamptz, text, uuid, text, text, uuid, text, bytea, bytea);
create function ctx.act_hash(p_link public.user_audit_log) returns bytea
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return sha256(convert_to(jsonb_build_array(p_link.user_id, p_link.sequence, extract(epoch from p_link.at), p_link.actor_kind, p_link.actor_id,
    p_link.act, p_link.target_kind, p_link.target_id, p_link.outcome, encode(p_link.personal_sha256, 'hex'),
    encode(p_link.previous_hash, 'hex'))::text, 'UTF8'));
end
$$;

create or replace function ctx.append_act(p_user uuid, p_actor_kind text, p_actor uuid, p_act text, p_target_kind text, p_target uuid, p_outcome text,
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

create or replace function ctx.audit_gaps() returns table (user_id uuid, sequence bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select (l.link).user_id, (l.link).sequence
      from (select a as link, lag(a.hash) over w as before, lag(a.sequence) over w as number
              from public.user_audit_log a left join ctx.audit_restarts() r on r.user_id = a.user_id
             where a.sequence >= coalesce(r.sequence, 0)
            window w as (partition by a.user_id order by a.sequence)) l
     where (l.link).hash is distinct from ctx.act_hash(l.link)
        or (l.link).salt is not null
           and (l.link).personal_sha256 is distinct from ctx.personal_sha256((l.link).salt, (l.link).address, (l.link).detail)
        or l.number is not null and ((l.link).sequence <> l.number + 1 or (l.link).previous_hash is distinct from l.before)
    union
    select coalesce(h.user_id, n.user_id), coalesce(h.sequence, n.sequence)
      from public.user_audit_heads h
      full join (select distinct on (a.user_id) a.user_id, a.sequence, a.hash from public.user_audit_log a
                  order by a.user_id, a.sequence desc) n on n.user_id = h.user_id
     where (h.sequence, h.hash) is distinct from (n.sequence, n.hash);
end
$$;

revoke all on function ctx.wake_digest(uuid), ctx.act_hash(public.user_audit_log) from public;

-- Under row security only equality of uuids goes into an index (docs/decisions/0015-ranges-and-search.md). Two tables grow without bound: the
-- ledger of scans is asked by a uuid made of the scan's id, and the audit log by a function that begins with its owner.

-- The default is for servers of the version before, which may serve until they are replaced.
alter table user_scans add column scan_key uuid default gen_random_uuid();
alter table user_scans no force row level security;
update user_scans set scan_key = encode(substring(sha256(convert_to(scan_id, 'UTF8')) from 1 for 16), 'hex')::uuid;
alter table user_scans force row level security;
alter table user_scans drop constraint user_scans_pkey;
alter table user_scans alter column scan_key set not null;
alter table user_scans add constraint user_scans_pkey primary key (user_id, router_id, scan_key);
-- Beside an index of owner, router and time, a plan that knows no values takes that one, and reads the whole ledger of the router.
drop index user_scans_received_at_idx;
create index user_scans_received_at_idx on user_scans (user_id, received_at);
revoke select (scan_id) on user_scans from netpilot_context;
grant select (scan_key) on user_scans to netpilot_context;

set local role netpilot_context;

-- Account by account, because the index of their times begins with the owner; some thousand a call, so that none takes long.
create or replace function ctx.purge_scans(p_days integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_removed integer;
begin
  -- Whoever gets at the auth login must not be able to make agents' scans count twice.
  if p_days is null or p_days < 1 then
    raise exception 'scans are remembered for a day at least' using errcode = 'NP403';
  end if;
  delete from public.user_scans s
    using (
      select o.user_id, o.router_id, o.scan_key
        from public.users u
        cross join lateral (
          select d.user_id, d.router_id, d.scan_key from public.user_scans d
           where d.user_id = u.id and d.received_at < now() - make_interval(days => p_days)
           limit 1000
        ) o
       limit 5000
    ) old
    where s.user_id = old.user_id and s.router_id = old.router_id and s.scan_key = old.scan_key;
  get diagnostics v_removed = row_count;
  return v_removed;
end
$$;

-- A page of one account's log, the newest first: what came before a position (null: the newest), for its owner and for administrators.
-- The function reads as its owner, whose policy is true, so that the range goes into the index; the account is compared with the seal first.
create function ctx.page_of_acts(p_user uuid, p_act text, p_outcome text, p_actor_kind text, p_from timestamptz, p_to timestamptz,
  p_before timestamptz, p_before_sequence bigint, p_limit integer)
returns table (user_id uuid, sequence bigint, at timestamptz, actor_kind text, actor_id uuid, act text, target_kind text, target_id uuid,
  outcome text, address inet, detail jsonb)
language plpgsql stable rows 50 security definer set search_path = pg_catalog, pg_temp
as $$
declare
  -- One upper bound: of two, PostgreSQL may start at the wrong one. No act has the number 0.
  v_before timestamptz := coalesce(p_before, 'infinity');
  v_sequence bigint := coalesce(p_before_sequence, 0);
begin
  if (p_user = ctx.uid() or ctx.is_admin()) is not true then
    return;
  end if;
  if p_to <= v_before then
    v_before := p_to;
    v_sequence := 0;
  end if;
  return query
    select l.user_id, l.sequence, l.at, l.actor_kind, l.actor_id, l.act, l.target_kind, l.target_id, l.outcome, l.address, l.detail
      from public.user_audit_log l
     where l.user_id = p_user
       and l.at >= coalesce(p_from, '-infinity') and (l.at, l.sequence) < (v_before, v_sequence)
       and (p_act is null or l.act = p_act) and (p_outcome is null or l.outcome = p_outcome)
       and (p_actor_kind is null or l.actor_kind = p_actor_kind)
     order by l.at desc, l.sequence desc
     limit p_limit;
end
$$;
revoke all on function ctx.page_of_acts(uuid, text, text, text, timestamptz, timestamptz, timestamptz, bigint, integer) from public;
grant execute on function ctx.page_of_acts(uuid, text, text, text, timestamptz, timestamptz, timestamptz, bigint, integer)
  to netpilot_user, netpilot_admin;

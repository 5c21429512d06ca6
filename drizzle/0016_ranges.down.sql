set local role netpilot_context;

drop function ctx.page_of_acts(uuid, text, text, text, timestamptz, timestamptz, timestamptz, bigint, integer);
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
      select o.user_id, o.router_id, o.scan_id
        from public.user_routers r
        cross join lateral (
          select d.user_id, d.router_id, d.scan_id from public.user_scans d
           where d.user_id = r.user_id and d.router_id = r.id and d.received_at < now() - make_interval(days => p_days)
           limit 1000
        ) o
       limit 5000
    ) old
    where s.user_id = old.user_id and s.router_id = old.router_id and s.scan_id = old.scan_id;
  get diagnostics v_removed = row_count;
  return v_removed;
end
$$;

set local role netpilot_owner;

drop index user_scans_received_at_idx;
create index user_scans_received_at_idx on user_scans (user_id, router_id, received_at);
revoke select (scan_key) on user_scans from netpilot_context;
grant select (scan_id) on user_scans to netpilot_context;
alter table user_scans drop constraint user_scans_pkey;
alter table user_scans add constraint user_scans_pkey primary key (user_id, router_id, scan_id);
alter table user_scans drop column scan_key;

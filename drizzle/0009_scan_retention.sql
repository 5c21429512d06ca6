-- Scans go by time, also those of a router that stopped posting: housekeeping removes them, and an agent no longer can.

create policy user_scans_context on user_scans for all to netpilot_context using (true) with check (true);
revoke delete on user_scans from netpilot_agent;
grant select (user_id, router_id, scan_id, received_at), delete on user_scans to netpilot_context;

set local role netpilot_context;

-- Router by router, because the index of their times begins with owner and router; some thousand a call, so that none takes long.
-- Returns how many: as long as there are any, there may be more.
create function ctx.purge_scans(p_days integer) returns integer
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

revoke all on function ctx.purge_scans(integer) from public;
grant execute on function ctx.purge_scans(integer) to netpilot_auth;

set local role netpilot_context;

drop function ctx.purge_scans(integer);

set local role netpilot_owner;

revoke select (user_id, router_id, scan_id, received_at), delete on user_scans from netpilot_context;
grant delete on user_scans to netpilot_agent;
drop policy user_scans_context on user_scans;

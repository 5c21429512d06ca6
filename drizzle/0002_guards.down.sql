alter table user_devices reset (fillfactor);
alter table user_device_interfaces reset (fillfactor);
alter table user_routers reset (fillfactor);

revoke all on all tables in schema public from netpilot_context, netpilot_auth, netpilot_user, netpilot_agent;
do $$
declare
  t regclass;
begin
  for t in select c.oid::regclass from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') loop
    execute format('alter table %s no force row level security', t);
  end loop;
end
$$;

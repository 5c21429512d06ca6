set local role netpilot_context;

create or replace function ctx.wake(p_router uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_router = ctx.agent_router() or exists (select from public.user_routers r where r.user_id = ctx.uid() and r.id = p_router) then
    perform pg_notify('netpilot_policy', p_router::text);
  end if;
end
$$;

drop function ctx.agent_wake_digest();
drop function ctx.wake_digest(uuid);
alter table ctx.seal_key drop column wake_key;

-- Any login may listen. So a wake-up carries a keyed digest of the router's id: who does not have the key cannot tell whose router it is, and
-- not test an id either. Servers ask for the digest of the router whose agent waits, with each wait.
--
-- Servers that run while this is applied wait for ids, and hear of changes by the end of a wait (60 s at most) instead of at once: nothing is
-- missed, since an agent that asks anew is answered from the rows. The same goes for newer servers when it is undone under them.

set local role netpilot_context;

alter table ctx.seal_key add column wake_key bytea not null default uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
  check (octet_length(wake_key) = 32);

-- What is digested has one length, so that the key may simply stand before it.
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

-- What wake-ups of the agent's own router carry.
create function ctx.agent_wake_digest() returns text
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

revoke all on function ctx.wake_digest(uuid), ctx.agent_wake_digest() from public;
grant execute on function ctx.agent_wake_digest() to netpilot_agent;

set local role netpilot_context;

drop function ctx.applied_migrations();
drop function ctx.wake(uuid);
drop function ctx.record_key_use(uuid[], text[], timestamptz[]);
drop function ctx.has_password();
drop function ctx.agent_router();
drop function ctx.agent_uid();
drop function ctx.uid();
drop function ctx.begin_agent_context(uuid, text, bytea);
drop function ctx.begin_context(uuid, uuid);
drop function ctx.assume(text, uuid, text, uuid, text[]);
drop function ctx.identity();

revoke all on schema ctx from netpilot_owner, netpilot_server, netpilot_auth, netpilot_user, netpilot_agent;

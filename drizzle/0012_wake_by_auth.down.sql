set local role netpilot_context;

revoke execute on function ctx.wake(uuid) from netpilot_auth;

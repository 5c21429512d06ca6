-- Keys are revoked through the auth login; an agent that waits with one is woken to learn it.

set local role netpilot_context;

grant execute on function ctx.wake(uuid) to netpilot_auth;

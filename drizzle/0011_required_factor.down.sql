set local role netpilot_context;

drop function ctx.require_second_factor(text);

set local role netpilot_owner;

revoke select (totp_confirmed_at) on user_credentials from netpilot_context;

set local role netpilot_context;

drop function ctx.email();
drop function ctx.accounts_of(text, text);

set local role netpilot_owner;

revoke select (email, google_id) on users from netpilot_context;
revoke select (id, full_name, avatar_url, role, email_verified_at, created_at) on users from netpilot_user;
grant select on users to netpilot_user;

-- Rows keep that they ended; older versions know no better reason.
alter table user_login_sessions no force row level security;
update user_login_sessions set end_reason = 'revoked' where end_reason = 'too-many';
alter table user_login_sessions force row level security;
alter table user_login_sessions drop constraint user_login_sessions_end_reason_known;
alter table user_login_sessions add constraint user_login_sessions_end_reason_known
  check (end_reason in ('logout', 'reuse', 'revoked', 'password-changed', 'deactivated'));

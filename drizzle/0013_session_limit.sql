-- Of more login sessions than an account may have, the one that was used least lately ends, and says why.
alter table user_login_sessions drop constraint user_login_sessions_end_reason_known;
alter table user_login_sessions add constraint user_login_sessions_end_reason_known
  check (end_reason in ('logout', 'reuse', 'revoked', 'password-changed', 'deactivated', 'too-many'));

/** A SQL condition: a login session, a row of `user_login_sessions`, has not ended in any way. */
export const IS_LIVE = 'ended_at is null and idle_expires_at > now() and expires_at > now()'

-- Addresses and Google accounts are what people are found by before anybody is known. Nothing else needs them: the two keys of users that do
-- not begin with an id are asked by one function, and a person's own role cannot name these columns.

revoke select on users from netpilot_user;
grant select (id, full_name, avatar_url, role, email_verified_at, created_at) on users to netpilot_user;
grant select (email, google_id) on users to netpilot_context;

set local role netpilot_context;

-- The accounts with an address, or with a Google account. For signing in, and to tell whether an address is taken: as its owner, because
-- under row security neither key could be used by an index.
create function ctx.accounts_of(p_email text, p_google text) returns setof uuid
language plpgsql stable rows 1 security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query select u.id from public.users u where u.email = p_email union select u.id from public.users u where u.google_id = p_google;
end
$$;

-- The address of the signed-in person.
create function ctx.email() returns text
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select u.email from public.users u where u.id = ctx.uid());
end
$$;

revoke all on all functions in schema ctx from public;
grant execute on function ctx.accounts_of(text, text) to netpilot_auth;
grant execute on function ctx.email() to netpilot_user;

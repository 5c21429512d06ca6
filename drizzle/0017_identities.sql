-- Addresses and accounts at providers lie in look-up tables, led by what is looked up, so that every key of users is led by its id
-- (docs/decisions/0019-identities.md). Only functions of the context role read or write a look-up table. The facts themselves stand with
-- their owner: users.email, and user_providers.

create table user_emails (
  email text primary key,
  user_id uuid not null,
  constraint user_emails_normalised check (email = lower(btrim(email)))
);
create table user_identities (
  provider text not null,
  subject text not null,
  user_id uuid not null,
  constraint user_identities_pkey primary key (provider, subject)
);
create table user_providers (
  user_id uuid not null,
  provider text not null,
  subject text not null,
  constraint user_providers_pkey primary key (user_id, provider),
  constraint user_providers_user_id_users_id_fk foreign key (user_id) references users (id) on delete cascade
);
alter table user_emails enable row level security;
alter table user_identities enable row level security;
alter table user_providers enable row level security;
create policy user_emails_context on user_emails to netpilot_context using (true) with check (true);
create policy user_identities_context on user_identities to netpilot_context using (true) with check (true);
create policy user_providers_auth on user_providers to netpilot_auth
  using (user_id = coalesce((select ctx.uid()), user_id)) with check (user_id = coalesce((select ctx.uid()), user_id));
create policy user_providers_admin on user_providers to netpilot_admin using ((select ctx.is_admin())) with check ((select ctx.is_admin()));
create policy user_providers_context on user_providers to netpilot_context using (true) with check (true);

-- The password's version stands beside the password, so that whoever signs in holds one row of their own, and every account has that row.
-- Keys that were made until keys_revoked_at are revoked: a change of password writes no key.
alter table user_credentials add column password_version integer not null default 1;
alter table user_credentials add column keys_revoked_at timestamptz;

alter table users no force row level security;
alter table user_credentials no force row level security;
alter table user_tokens no force row level security;
insert into user_credentials (user_id) select id from users on conflict do nothing;
update user_credentials c set password_version = u.password_version from users u where u.id = c.user_id and u.password_version <> 1;
insert into user_emails (email, user_id) select email, id from users;
insert into user_providers (user_id, provider, subject) select id, 'google', google_id from users where google_id is not null;
-- What a way back kept of other providers.
insert into user_providers (user_id, provider, subject)
  select user_id, split_part(email, ' ', 1), substr(email, strpos(email, ' ') + 1) from user_tokens
   where purpose = 'exchange' and expires_at = 'infinity' and password_version = 0;
delete from user_tokens where purpose = 'exchange' and expires_at = 'infinity' and password_version = 0;
insert into user_identities (provider, subject, user_id) select provider, subject, user_id from user_providers;
alter table users force row level security;
alter table user_credentials force row level security;
alter table user_tokens force row level security;
alter table user_emails force row level security;
alter table user_identities force row level security;
alter table user_providers force row level security;

alter table users drop constraint users_email_key;
alter table users drop constraint users_google_id_key;
alter table users drop column google_id;
alter table users drop column password_version;

grant select, insert, delete on user_emails, user_identities to netpilot_context;
grant select (user_id, provider, subject) on user_providers to netpilot_context;
-- To hold the account that is deleted, and to delete it.
grant update (updated_at), delete on users to netpilot_context;
grant select (keys_revoked_at) on user_credentials to netpilot_context;
grant select (created_at) on user_api_keys to netpilot_context;
revoke update (revoked_at) on user_api_keys from netpilot_context;
grant select, insert, delete on user_providers to netpilot_auth;
grant select (user_id, provider) on user_providers to netpilot_admin;
grant select (password_version), insert (user_id) on user_credentials to netpilot_admin;
grant insert (id) on users to netpilot_admin;
-- An account is deleted by a function, which empties the look-up tables with it.
revoke delete on users from netpilot_auth, netpilot_admin;

set local role netpilot_context;

drop function ctx.accounts_of(text, text);
drop function ctx.erase_acts(uuid);
drop function ctx.revoke_personal_keys(uuid);

-- The two look-ups that signing in begins with: whose an address is, and whose an account at a provider.
create function ctx.user_of_email(p_email text) returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select e.user_id from public.user_emails e where e.email = p_email);
end
$$;

create function ctx.user_of_identity(p_provider text, p_subject text) returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select i.user_id from public.user_identities i where i.provider = p_provider and i.subject = p_subject);
end
$$;

-- Enters the address of an account, in place of another one; false when somebody else has it. Registering and confirming a new address are
-- done by a token or a password, so nobody is signed in.
create function ctx.take_email(p_user uuid, p_email text, p_instead_of text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if ctx.identity() is not null then
    raise exception 'who is signed in confirms an address by its token' using errcode = 'NP403';
  end if;
  insert into public.user_emails (email, user_id) values (p_email, p_user) on conflict (email) do nothing;
  if ctx.user_of_email(p_email) is distinct from p_user then
    return false;
  end if;
  delete from public.user_emails e where e.email = p_instead_of and e.email <> p_email and e.user_id = p_user;
  return true;
end
$$;

-- The same for an account that an administrator is about to make.
create function ctx.take_invited_email(p_user uuid, p_email text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if ctx.is_admin() is not true or exists (select from public.users u where u.id = p_user) then
    raise exception 'only an administrator invites, and nobody who is there' using errcode = 'NP403';
  end if;
  insert into public.user_emails (email, user_id) values (p_email, p_user) on conflict (email) do nothing;
  return found;
end
$$;

-- Enters an account at a provider; false when somebody else has it. Who is signed in enters their own.
create function ctx.take_identity(p_user uuid, p_provider text, p_subject text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_user is distinct from coalesce(ctx.uid(), p_user) then
    raise exception 'not the owner of this account' using errcode = 'NP403';
  end if;
  insert into public.user_identities (provider, subject, user_id) values (p_provider, p_subject, p_user)
    on conflict (provider, subject) do nothing;
  return ctx.user_of_identity(p_provider, p_subject) is not distinct from p_user;
end
$$;

create function ctx.drop_identity(p_user uuid, p_provider text, p_subject text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_user is distinct from coalesce(ctx.uid(), p_user) then
    raise exception 'not the owner of this account' using errcode = 'NP403';
  end if;
  delete from public.user_identities i where i.provider = p_provider and i.subject = p_subject and i.user_id = p_user;
end
$$;

-- Deletes an account with everything it owns, and with what it was found by. What is personal in its log goes, and the log stays for its time.
-- False when there is no such account.
create function ctx.delete_account(p_user uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_email text;
  v_provider text;
  v_subject text;
begin
  if (p_user = ctx.uid() or ctx.is_admin()) is not true then
    raise exception 'not the owner of this account' using errcode = 'NP403';
  end if;
  -- Held first: what links the account, or changes its address, has been stored by now or fails.
  select u.email into v_email from public.users u where u.id = p_user for update;
  update public.user_audit_log set address = null, detail = null, salt = null where user_id = p_user;
  for v_provider, v_subject in select p.provider, p.subject from public.user_providers p where p.user_id = p_user loop
    delete from public.user_identities i where i.provider = v_provider and i.subject = v_subject and i.user_id = p_user;
  end loop;
  delete from public.user_emails e where e.email = v_email and e.user_id = p_user;
  delete from public.users where id = p_user;
  return found;
end
$$;

-- How many personal keys an account has that open something. Before anybody is signed in the auth login sees no keys, hence a function.
create function ctx.count_personal_keys(p_user uuid) returns integer
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_user is distinct from coalesce(ctx.uid(), p_user) then
    raise exception 'not the owner of these keys' using errcode = 'NP403';
  end if;
  return (select count(*) from public.user_api_keys k left join public.user_credentials c on c.user_id = k.user_id
    where k.user_id = p_user and k.kind = 'personal' and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > now()) and (k.retires_at is null or k.retires_at > now())
      and (c.keys_revoked_at is null or k.created_at > c.keys_revoked_at));
end
$$;

-- What the look-up tables and the accounts do not say alike: no foreign key holds them together.
create function ctx.lookup_gaps() returns table (user_id uuid, what text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select u.id, 'is not found by its address'
      from public.users u left join public.user_emails e on e.email = u.email and e.user_id = u.id where e.email is null
    union all
    select e.user_id, 'is found by an address that it does not have'
      from public.user_emails e left join public.users u on u.id = e.user_id and u.email = e.email where u.id is null
    union all
    select p.user_id, 'is not found by its account at ' || p.provider
      from public.user_providers p left join public.user_identities i using (provider, subject, user_id) where i.provider is null
    union all
    select i.user_id, 'is found by an account at ' || i.provider || ' that it is not linked to'
      from public.user_identities i left join public.user_providers p using (provider, subject, user_id) where p.provider is null;
end
$$;

-- As before, and a key is dead that was made until its owner's keys were revoked.
create or replace function ctx.begin_key_context(p_user uuid, p_key text, p_sha256 bytea, p_scope text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_scopes text[];
  v_proof uuid;
begin
  select k.scopes, k.id into v_scopes, v_proof
    from public.user_api_keys k
    join public.users u on u.id = k.user_id
    left join public.user_credentials c on c.user_id = k.user_id
   where k.user_id = p_user and k.key_id = p_key and k.kind = 'personal' and k.secret_sha256 = p_sha256
     and k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and (k.retires_at is null or k.retires_at > now())
     and (c.keys_revoked_at is null or k.created_at > c.keys_revoked_at)
     and u.is_active;
  if v_scopes is null then
    raise exception 'no live key' using errcode = 'NP401';
  end if;
  if (p_scope = any(v_scopes)) is not true then
    raise exception 'the key lacks the scope' using errcode = 'NPSCP';
  end if;
  perform ctx.assume('user', p_user, null, null, v_scopes, v_proof);
end
$$;

insert into ctx.acts (actor, act) values ('person', 'linkOidc'), ('person', 'unlinkOidc'), ('visitor', 'finishOidcFlow');

revoke all on all functions in schema ctx from public;
grant execute on function ctx.user_of_email(text), ctx.user_of_identity(text, text), ctx.take_email(uuid, text, text),
  ctx.take_identity(uuid, text, text), ctx.drop_identity(uuid, text, text), ctx.delete_account(uuid), ctx.count_personal_keys(uuid)
  to netpilot_auth;
grant execute on function ctx.take_invited_email(uuid, text), ctx.delete_account(uuid) to netpilot_admin;

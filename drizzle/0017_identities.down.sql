set local role netpilot_context;

delete from ctx.acts where act in ('linkOidc', 'unlinkOidc', 'finishOidcFlow');

drop function ctx.lookup_gaps();
drop function ctx.count_personal_keys(uuid);
drop function ctx.delete_account(uuid);
drop function ctx.drop_identity(uuid, text, text);
drop function ctx.take_identity(uuid, text, text);
drop function ctx.take_invited_email(uuid, text);
drop function ctx.take_email(uuid, text, text);
drop function ctx.user_of_identity(text, text);
drop function ctx.user_of_email(text);

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
   where k.user_id = p_user and k.key_id = p_key and k.kind = 'personal' and k.secret_sha256 = p_sha256
     and k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and (k.retires_at is null or k.retires_at > now())
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

set local role netpilot_owner;

grant delete on users to netpilot_auth, netpilot_admin;
revoke insert (id) on users from netpilot_admin;
revoke select (password_version), insert (user_id) on user_credentials from netpilot_admin;
grant update (revoked_at) on user_api_keys to netpilot_context;
revoke select (created_at) on user_api_keys from netpilot_context;
revoke select (keys_revoked_at) on user_credentials from netpilot_context;
revoke update (updated_at), delete on users from netpilot_context;

alter table users add column password_version integer not null default 1;
alter table users add column google_id text;
alter table users no force row level security;
alter table user_credentials no force row level security;
alter table user_providers no force row level security;
alter table user_api_keys no force row level security;
alter table user_tokens no force row level security;
update users u set password_version = c.password_version from user_credentials c where c.user_id = u.id and c.password_version <> 1;
update users u set google_id = p.subject from user_providers p where p.user_id = u.id and p.provider = 'google';
-- Older versions know no other provider. Until this migration is applied again, what links people to others stands in tokens that nobody can
-- use: they are used up, of no version of a password, and no secret has their digest.
insert into user_tokens (user_id, purpose, token_sha256, email, password_version, expires_at, used_at)
  select user_id, 'exchange', sha256(convert_to('link ' || provider || ' ' || subject, 'UTF8')), provider || ' ' || subject, 0, 'infinity', now()
    from user_providers where provider <> 'google';
update user_api_keys k set revoked_at = c.keys_revoked_at from user_credentials c
  where c.user_id = k.user_id and k.kind = 'personal' and k.revoked_at is null and k.created_at <= c.keys_revoked_at;
alter table users force row level security;
alter table user_credentials force row level security;
alter table user_api_keys force row level security;
alter table user_tokens force row level security;
alter table users add constraint users_email_key unique (email);
alter table users add constraint users_google_id_key unique (google_id);
grant select (google_id, password_version) on users to netpilot_admin;
grant select (google_id) on users to netpilot_context;

alter table user_credentials drop column keys_revoked_at;
alter table user_credentials drop column password_version;
drop table user_providers;
drop table user_identities;
drop table user_emails;

set local role netpilot_context;

create function ctx.accounts_of(p_email text, p_google text) returns setof uuid
language plpgsql stable rows 1 security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query select u.id from public.users u where u.email = p_email union select u.id from public.users u where u.google_id = p_google;
end
$$;

create function ctx.erase_acts(p_user uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if (p_user = ctx.uid() or ctx.is_admin()) is not true then
    raise exception 'not the owner of this log' using errcode = 'NP403';
  end if;
  update public.user_audit_log set address = null, detail = null, salt = null where user_id = p_user;
end
$$;

create function ctx.revoke_personal_keys(p_user uuid) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_revoked integer;
begin
  update public.user_api_keys set revoked_at = now()
   where user_id = p_user and kind = 'personal' and revoked_at is null
     and (expires_at is null or expires_at > now()) and (retires_at is null or retires_at > now());
  get diagnostics v_revoked = row_count;
  return v_revoked;
end
$$;

revoke all on function ctx.accounts_of(text, text), ctx.erase_acts(uuid), ctx.revoke_personal_keys(uuid) from public;
grant execute on function ctx.accounts_of(text, text), ctx.revoke_personal_keys(uuid) to netpilot_auth;
grant execute on function ctx.erase_acts(uuid) to netpilot_auth, netpilot_admin;

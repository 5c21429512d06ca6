set local role netpilot_context;

create or replace function ctx.record_act(p_act text, p_target_kind text, p_target uuid, p_outcome text, p_address inet, p_detail jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  i text[] := ctx.identity();
begin
  if (i[1] = 'user') is not true then
    raise exception 'nobody is signed in' using errcode = 'NP403';
  end if;
  perform ctx.append_act(i[2]::uuid, 'user', i[2]::uuid, p_act, p_target_kind, p_target, p_outcome, p_address,
    coalesce(p_detail, '{}') || jsonb_build_object(case when i[5] = '' then 'sessionId' else 'keyId' end, i[6]));
end
$$;

create or replace function ctx.record_act_of(p_user uuid, p_actor_kind text, p_act text, p_outcome text, p_address inet, p_detail jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if ctx.identity() is not null then
    raise exception 'who is signed in records their own acts' using errcode = 'NP403';
  end if;
  perform ctx.append_act(p_user, p_actor_kind, case when p_actor_kind = 'user' and p_outcome = 'success' then p_user end,
    p_act, null, null, p_outcome, p_address, p_detail);
end
$$;

create or replace function ctx.record_admin_act(p_user uuid, p_act text, p_outcome text, p_address inet, p_detail jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not ctx.is_admin() then
    raise exception 'not an administrator' using errcode = 'NP403';
  end if;
  perform ctx.append_act(p_user, 'admin', ctx.uid(), p_act, 'users', p_user, p_outcome, p_address, p_detail);
end
$$;

create or replace function ctx.record_key_use(p_users uuid[], p_keys text[], p_times timestamptz[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update public.user_api_keys k
     set last_used_at = used.at
    from unnest(p_users, p_keys, p_times) as used(user_id, key_id, at)
   where k.user_id = used.user_id and k.key_id = used.key_id and (k.last_used_at is null or k.last_used_at < used.at);
end
$$;

drop function ctx.require_act(text, text, text, jsonb);
drop table ctx.acts;

-- Each function that writes to the audit log takes the acts of those who can call it, and no others: the login that signs people in can no
-- longer write that an administrator did something, and nobody an act that does not exist. What it says beyond is bounded.

set local role netpilot_context;

-- The operations of the API that change something, and what commands do, by who does it.
create table ctx.acts (
  actor text not null check (actor in ('person', 'visitor', 'administrator', 'system')),
  act text not null,
  primary key (actor, act)
);
-- Without a policy nobody but its owner sees a row, whatever is granted.
alter table ctx.acts enable row level security;
insert into ctx.acts (actor, act)
select actor, unnest(acts) from (values
  ('person', '{addBlock,addGroup,addPersonalKey,addRouter,addRouterKey,addSchedule,addToBlacklist,addToWhitelist,approveDevice,
    bulkChangeBlacklist,bulkChangeWhitelist,changeBlacklistEntry,changeBlock,changeDevice,changeDevices,changeEmail,changeGroup,
    changePassword,changeProfile,changeRouter,changeSchedule,changeWhitelistEntry,clearBlacklist,clearDevices,clearWhitelist,
    confirmSecondFactor,deactivate,deleteAccount,disableSecondFactor,dismissDevice,endBlock,endLoginSession,endLoginSessions,
    endOverride,keepSetting,linkGoogle,logout,mergeDevices,moveGroupDevices,overrideSchedules,reauthenticate,removeDevice,
    removeFromBlacklist,removeFromWhitelist,removeGroup,removeRouter,removeSchedule,removeSetting,renewRecoveryCodes,resetBlocks,
    revokePersonalKey,revokeRouterKey,rotatePersonalKey,rotateRouterKey,setUpSecondFactor,splitDevice,undoMerge,unlinkGoogle}'::text[]),
  ('visitor', '{answerChallenge,exchangeCode,finishGoogleFlow,forgotPassword,login,reactivate,refresh,register,resendVerification,
    resetPassword,signInWithGoogle,verifyEmail}'),
  ('administrator', '{changeAccount,endSessionOfAccount,endSessionsOfAccount,inviteUser,removeAccount,startPasswordReset}'),
  ('system', '{createAdmin,removeAdmin}')
) as known (actor, acts);

create function ctx.require_act(p_actor text, p_act text, p_target_kind text, p_detail jsonb) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from ctx.acts a where a.actor = p_actor and a.act = p_act) then
    raise exception 'not an act of this kind of actor: see ctx.acts' using errcode = 'NP403';
  end if;
  if octet_length(p_target_kind) > 100 or octet_length(p_detail::text) > 2000 then
    raise exception 'an act says too much' using errcode = 'NP403';
  end if;
end
$$;
revoke all on function ctx.require_act(text, text, text, jsonb) from public;

create or replace function ctx.record_act(p_act text, p_target_kind text, p_target uuid, p_outcome text, p_address inet, p_detail jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  i text[] := ctx.identity();
begin
  if (i[1] = 'user') is not true then
    raise exception 'nobody is signed in' using errcode = 'NP403';
  end if;
  perform ctx.require_act('person', p_act, p_target_kind, p_detail);
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
  perform ctx.require_act(case p_actor_kind when 'user' then 'visitor' when 'system' then 'system' end, p_act, null, p_detail);
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
  perform ctx.require_act('administrator', p_act, null, p_detail);
  perform ctx.append_act(p_user, 'admin', ctx.uid(), p_act, 'users', p_user, p_outcome, p_address, p_detail);
end
$$;

-- The last use of a key is no later than now, whatever is written.
create or replace function ctx.record_key_use(p_users uuid[], p_keys text[], p_times timestamptz[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update public.user_api_keys k
     set last_used_at = least(used.at, now())
    from unnest(p_users, p_keys, p_times) as used(user_id, key_id, at)
   where k.user_id = used.user_id and k.key_id = used.key_id and (k.last_used_at is null or k.last_used_at < least(used.at, now()));
end
$$;

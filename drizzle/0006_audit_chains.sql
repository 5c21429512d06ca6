-- A chain of the audit log that lost its head begins anew, with an entry that says so.
--
-- Undoing 0004_accounts drops the heads, salts and digests of the audit log, and keeps its entries. When it was applied again, the first act
-- of each account took sequence 1, which an entry had already: whatever the account did failed, signing in first of all. This migration runs
-- on every way forth, so it also repairs what a later way back takes.

-- For the repair below; taken back at the end.
grant select (suspended_at), update (suspended_at) on users to netpilot_context;

set local role netpilot_context;

-- The chains without a head, and those whose head is behind their newest entry: where the oldest entries had been purged, some acts found a
-- free sequence. A head without a hash makes ctx.append_act write an entry that refers to none before it.
insert into public.user_audit_heads as h (user_id, sequence)
  select a.user_id, max(a.sequence)
    from public.user_audit_log a left join public.user_audit_heads known on known.user_id = a.user_id
   group by a.user_id, known.sequence
  having max(a.sequence) > coalesce(known.sequence, 0)
  on conflict (user_id) do update set sequence = excluded.sequence, hash = null where h.sequence < excluded.sequence;

-- Undoing 0004_accounts drops suspended_at too, so whoever an administrator had deactivated could reactivate the account. The log tells who
-- deactivated it. Where the log does not, an administrator decides.
update public.users u set suspended_at = now()
  from public.user_audit_heads h
 where h.user_id = u.id and h.hash is null and not u.is_active and u.suspended_at is null
   and coalesce((select a.actor_kind = 'admin' from public.user_audit_log a
                  where a.user_id = u.id and a.act in ('changeAccount', 'deactivate') and a.outcome = 'success'
                  order by a.at desc, a.sequence desc limit 1), true);

select ctx.append_act(h.user_id, 'system', null, 'restartAuditChain', null, null, 'success', null,
    '{"reason": "A migration was undone and applied again. What stands before this entry cannot be verified."}')
  from public.user_audit_heads h
 where h.hash is null;

-- Where each chain last began anew, as long as there are entries before. Only the owner of these functions can take the hash from a head.
create function ctx.audit_restarts() returns table (user_id uuid, sequence bigint, at timestamptz, entries_before bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select r.user_id, r.sequence, r.at, count(*)
      from (select distinct on (a.user_id) a.user_id, a.sequence, a.at
              from public.user_audit_log a where a.sequence > 1 and a.previous_hash is null
             order by a.user_id, a.sequence desc) r
      join public.user_audit_log earlier on earlier.user_id = r.user_id and earlier.sequence < r.sequence
     group by r.user_id, r.sequence, r.at;
end
$$;

-- From where a chain last began anew on: links whose content was changed, whose predecessor is missing, or that are missing themselves. And
-- the newest link of a chain without a head, since the next act of the account would fail.
create or replace function ctx.audit_gaps() returns table (user_id uuid, sequence bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select (l.link).user_id, (l.link).sequence
      from (select a as link, lag(a.hash) over w as before, lag(a.sequence) over w as number
              from public.user_audit_log a left join ctx.audit_restarts() r on r.user_id = a.user_id
             where a.sequence >= coalesce(r.sequence, 0)
            window w as (partition by a.user_id order by a.sequence)) l
     where (l.link).hash is distinct from ctx.act_hash(l.link)
        or (l.link).salt is not null
           and (l.link).personal_sha256 is distinct from ctx.personal_sha256((l.link).salt, (l.link).address, (l.link).detail)
        or l.number is not null and ((l.link).sequence <> l.number + 1 or (l.link).previous_hash is distinct from l.before)
    union
    select coalesce(h.user_id, n.user_id), coalesce(h.sequence, n.sequence)
      from public.user_audit_heads h
      full join (select distinct on (a.user_id) a.user_id, a.sequence, a.hash from public.user_audit_log a
                  order by a.user_id, a.sequence desc) n on n.user_id = h.user_id
     where (h.sequence, h.hash) is distinct from (n.sequence, n.hash);
end
$$;

revoke all on function ctx.audit_restarts() from public;

set local role netpilot_owner;

revoke select (suspended_at), update (suspended_at) on users from netpilot_context;

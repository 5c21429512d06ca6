-- Entries that say that a chain began anew stay: nothing in the log is taken back.

set local role netpilot_context;

drop function ctx.audit_restarts();

create or replace function ctx.audit_gaps() returns table (user_id uuid, sequence bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select (l.link).user_id, (l.link).sequence
      from (select a as link, lag(a.hash) over w as before, lag(a.sequence) over w as number
              from public.user_audit_log a window w as (partition by a.user_id order by a.sequence)) l
     where (l.link).hash is distinct from ctx.act_hash(l.link)
        or (l.link).salt is not null
           and (l.link).personal_sha256 is distinct from ctx.personal_sha256((l.link).salt, (l.link).address, (l.link).detail)
        or l.number is not null and ((l.link).sequence <> l.number + 1 or (l.link).previous_hash is distinct from l.before)
    union
    select h.user_id, h.sequence from public.user_audit_heads h
     where not exists (select from public.user_audit_log a where a.user_id = h.user_id and a.sequence = h.sequence and a.hash = h.hash);
end
$$;

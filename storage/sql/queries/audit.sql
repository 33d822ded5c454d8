-- name: audit_page
-- Before $1, $2: when and in which place; $3 to $7 are filters, $8 is how many.
select *
from (
    (
        select
            revision.created_at as at, changed.place, revision.revision, revision.origin, told.actor,
            changed.kind, changed.id, changed.parent_before, changed.before, changed.parent_after,
            changed.after, null as action, revision.note
        from catalogue_revisions as revision
        cross join lateral (
            select coalesce(revision.actor, 'file ' || revision.file_name, revision.origin) as actor
        ) as told
        cross join lateral (
            select
                (lpad(revision.revision::text, 19, '0') || ':' || kind || ':' || id) collate "C" as place,
                kind, id,
                before.parent as parent_before, before.document as before,
                after.parent as parent_after, after.document as after
            from (select * from catalogue_items where last_revision = revision.revision - 1) as before
            full join (select * from catalogue_items where first_revision = revision.revision) as after
                using (kind, id)
        ) as changed
        where revision.created_at <= $1
          and (revision.created_at < $1 or changed.place < $2)
          and ($3::text is null or changed.kind = $3)
          and ($4::text is null or changed.id = $4)
          and ($5::text is null or told.actor = $5 or right(told.actor, length($5) + 3) = ' (' || $5 || ')')
          and revision.created_at >= $6 and revision.created_at < $7
        order by revision.created_at desc, changed.place desc
        limit $8
    )
    union all
    (
        select
            at, ('e' || lpad(id::text, 19, '0')) collate "C" as place, null, origin, actor,
            kind, item_id, null, before, null, after, action, note
        from audit_entries
        where at <= $1
          and (at < $1 or ('e' || lpad(id::text, 19, '0')) collate "C" < $2)
          and ($3::text is null or kind = $3)
          and ($4::text is null or item_id = $4)
          and ($5::text is null or actor = $5 or right(actor, length($5) + 3) = ' (' || $5 || ')')
          and at >= $6 and at < $7
        order by at desc, id desc
        limit $8
    )
) as entry
order by at desc, place desc
limit $8

-- name: audit_add
insert into audit_entries (origin, actor, kind, item_id, action, before, after, note)
values ($1, $2, $3, $4, $5, $6, $7, $8)

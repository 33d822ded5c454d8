-- name: blocking_items
-- Only what is no longer in force: whom a campaign blocks now it has to know.
select kind, id, first_revision, document
from catalogue_items
where kind = 'campaign' and last_revision is not null and strpos(document::text, $1) > 0

-- name: unblock_items
update catalogue_items set document = $4::json
where kind = $1 and id = $2 and first_revision = $3

-- name: blocking_patches
-- One that waits for a campaign which blocks the number now would put an end to that: it keeps it.
select id, patch
from scheduled_changes
where kind = 'campaign' and patch::text like '%caller_blocklist%'
    and not (
        state = 'pending' and exists (
            select from catalogue_items as i
            where i.kind = 'campaign' and i.id = item_id and i.last_revision is null
                and strpos(i.document::text, $1) > 0
        )
    )
for update

-- name: unblock_patches
update scheduled_changes set patch = $2::json
where id = $1

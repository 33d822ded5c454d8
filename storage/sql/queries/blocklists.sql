-- name: blocking_items
-- Only what is no longer in force: whom a campaign blocks now it has to know.
select kind, id, first_revision, document
from catalogue_items
where kind = 'campaign' and last_revision is not null and strpos(document::text, $1) > 0

-- name: unblock_items
update catalogue_items set document = $4::json
where kind = $1 and id = $2 and first_revision = $3

-- name: blocking_patches
select id, patch
from scheduled_changes
where kind = 'campaign' and patch::text like '%caller_blocklist%'
for update

-- name: unblock_patches
update scheduled_changes set patch = $2::json
where id = $1

-- name: managed_item
select kind, id, parent, position, document, first_revision
from catalogue_items
where kind = $1 and id = $2 and last_revision is null

-- name: managed_item_at
select kind, id, parent, position, document, first_revision
from catalogue_items
where kind = $1 and id = $2 and first_revision <= $3 and (last_revision is null or last_revision >= $3)
    and $3 <= (select max(revision) from catalogue_revisions)

-- name: managed_items
select kind, id, parent, position, document, first_revision
from catalogue_items
where kind = $1 and id = any($2::text[]) and last_revision is null

-- name: managed_children
select kind, id, parent, position, document, first_revision
from catalogue_items
where kind = $1 and parent = $2 and last_revision is null
order by position, id

-- name: managed_list
-- $5 are the values that stand for what a document leaves out, $6 those it must have.
select kind, id, parent, position, document, first_revision
from catalogue_items
where kind = $1 and id > $2 and last_revision is null
  and ($4::text is null or parent = $4)
  and ($6::jsonb = '{}' or ($5::jsonb || document::jsonb) @> $6::jsonb)
order by id
limit $3

-- name: managed_referring
select kind, id, parent, position, document, first_revision
from catalogue_items
where kind = $1 and id > $4 and last_revision is null
  -- To look for a text costs a hundredth of reading the JSON.
  and case
    when $6::text[] is null or document::text like any ($6::text[])
    then jsonb_path_exists(document::jsonb, $2::text::jsonpath, jsonb_build_object('id', $3::text))
    else false
  end
order by id
limit $5

-- name: managed_mentioning
select id
from catalogue_items
where kind = $1 and last_revision is null and document::text like any ($2::text[])

-- name: managed_sharing
select kind, id, parent, position, document, first_revision
from catalogue_items
where kind = $1 and last_revision is null and (document::jsonb -> $2) ?| $3::text[]
order by id

-- name: managed_last_position
select coalesce(max(position), 0)
from catalogue_items
where kind = $1 and parent is not distinct from $2 and last_revision is null

-- name: managed_ids_like
select id from catalogue_items where kind = $1 and starts_with(id, $2) and last_revision is null

-- name: item_was_there
-- In any revision.
select exists (select from catalogue_items where kind = $1 and id = $2)

"""What a marketplace says about segments and boosts that can't do anything."""

from collections.abc import Container, Iterator

from config.plain_data import Item, below, listed, offers, text_of, texts
from config.references import Finding


def routing_advice(top: Item) -> Iterator[Finding]:
    """Boosts of what is not there, and segments that no buyer belongs to."""
    tags = {tag for buyer in listed(top, "buyers") for tag in texts(buyer.data.get("tags"))}
    known: dict[str, tuple[Container[str | None], str]] = {
        "tag": (tags, "is a tag that no buyer has"),
        "offer": ({offer.id for offer in offers(top)}, "names an offer that is not in this file"),
        "source": (
            {source.id for source in listed(top, "sources")},
            "names a source that is not in this file",
        ),
    }
    for campaign in listed(top, "campaigns"):
        auction = below(campaign, "auction")
        for boost in () if auction is None else listed(auction, "boosts"):
            for key, (names, told) in known.items():
                name = text_of(boost.data.get(key))
                if name is not None and name not in names:
                    yield (*boost.steps, key), told
        for segment in listed(campaign, "segments"):
            wanted = texts(segment.data.get("tags"))
            if wanted and tags.isdisjoint(wanted):
                told = "no buyer has any of these: calls that meet `when` go nowhere"
                yield (*segment.steps, "tags"), told

"""Links between pages lead somewhere."""

import pytest

from tests.docs.pages import ROOT, Page, all_pages


@pytest.mark.parametrize("page", all_pages(), ids=lambda each: each.name)
def test_links_lead_to_files_and_headings_that_exist(page: Page) -> None:
    for link in page.links():
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, heading = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link} leads out of the repository"
        if heading:
            assert heading in Page(target).anchors(), f"{page.name}: {link}: no such heading"


def test_every_page_of_docs_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    reached, waiting = set[str](), [index]
    while waiting:
        path = waiting.pop()
        if str(path) in reached:
            continue
        reached.add(str(path))
        below = (link.partition("#")[0] for link in Page(path).links() if "://" not in link)
        waiting += [(path.parent / link).resolve() for link in below if link.endswith(".md")]
    pages = {str(page.path) for page in all_pages() if "docs/" in page.name}
    assert pages <= reached, sorted(pages - reached)

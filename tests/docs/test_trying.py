"""The runner of pages: what it finds, on pages made up for it."""

from pathlib import Path

import pytest

from tests.docs.pages import Page
from tests.docs.surroundings import surroundings
from tests.docs.trying import try_block


def try_page(folder: Path, text: str) -> None:
    """Try a page with this text, as those of the documentation are tried."""
    page = Page(folder / "page.md")
    page.path.write_text(text.replace("~~~", "```"))
    (folder / "checkout").mkdir()
    with surroundings(folder / "checkout", {}) as around:
        for block, after in page.commands():
            try_block(around, block, after)


def test_variables_files_and_functions_stay_from_block_to_block(tmp_path: Path) -> None:
    try_page(
        tmp_path,
        "~~~sh\nexport WORD=two\necho one >file\n~~~\nThen:\n~~~sh\ncat file\necho $WORD\n~~~\n"
        "~~~text\none\ntwo\n~~~\n",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "~~~sh\necho one\n~~~\n~~~text\ntwo\n~~~\n",
            "page.md:4\nthe page shows 'two', seen 'one'",
        ),
        ('~~~sh\necho "{}"\n~~~\n\n~~~json\n{"a": 1}\n~~~\n', ".a: is not in the answer"),
        ("~~~sh\nfalse\necho fine\n~~~\n", "page.md:1: ended with 0: ('1 false',)"),
        ("~~~sh\nno-such-program\n~~~\n", "page.md:1: ended with 127"),
        ("~~~sh\ncurl -s http://127.0.0.1:9105/\n~~~\n", "page.md:1: ended with 7"),
        ("<!-- exits 3 -->\n~~~sh\ntrue\n~~~\n", "page.md:2: ended with 0"),
        ("<!-- before: false -->\n~~~sh\ntrue\n~~~\n", "page.md:2: before: ('1 false',"),
    ],
)
def test_a_page_that_is_wrong_is_found(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(AssertionError) as raised:
        try_page(tmp_path, text)
    assert told in str(raised.value)


def test_what_stands_between_commands_and_an_example_makes_it_no_output(tmp_path: Path) -> None:
    try_page(tmp_path, "~~~sh\necho one\n~~~\nFor example:\n~~~text\ntwo\n~~~\n")


def test_a_block_that_another_file_runs_is_not_run_with_its_page(tmp_path: Path) -> None:
    try_page(tmp_path, "<!-- run by: tests/docs/other.py -->\n\n~~~sh\nfalse\n~~~\n")


def test_a_block_is_run_again_until_it_shows_what_the_page_does(tmp_path: Path) -> None:
    try_page(
        tmp_path,
        "<!-- again: it takes a while -->\n~~~sh\necho one >>file\ngrep -c one file\n~~~\n"
        "~~~text\n2\n~~~\n",
    )


def test_nothing_that_a_page_started_is_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.docs.shell.ENDS_WITHIN_S", 0.5)
    page = (
        "~~~sh\n(trap '' TERM; echo up >up; while :; do sleep 0.05; done; echo late >late) &\n~~~\n"
    )
    try_page(tmp_path, page + "~~~sh\nuntil test -e up; do sleep 0.05; done\necho $! >pid\n~~~\n")
    pid = (tmp_path / "checkout" / "pid").read_text().strip()
    assert not Path("/proc", pid).exists()

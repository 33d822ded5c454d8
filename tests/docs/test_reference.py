"""The reference pages are what the code says."""

import shutil
from pathlib import Path

import pytest

from auction.domain.reasons import Reason
from config.meanings import meaning_of
from config.settings import Settings
from reference.__main__ import FOLDER, main
from reference.pages import made, outdated, write_all


def test_the_pages_are_current() -> None:
    assert outdated(FOLDER) == [], "`make reference` writes them"


def test_a_page_that_was_edited_by_hand_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "docs"
    shutil.copytree(FOLDER, folder)
    edited, gone = folder / "reference" / "settings.md", folder / "reference" / "reasons.md"
    edited.write_text(edited.read_text().replace("`8080`", "`8000`"))
    gone.unlink()
    monkeypatch.setattr("reference.__main__.FOLDER", folder)
    assert main(["--check"]) == 1
    assert "settings.md is not current" in capsys.readouterr().err
    assert outdated(folder) == ["reference/reasons.md", "reference/settings.md"]
    write_all(folder)
    assert main(["--check"]) == 0


def test_every_setting_says_what_it_means() -> None:
    silent = [name for name in Settings.model_fields if not meaning_of(Settings, name)]
    assert silent == [], "say it in config/meanings.toml, under [Settings]"


def test_every_reason_is_on_its_page_with_its_number() -> None:
    page = made("reference/reasons.md")
    for reason in Reason:
        assert f"| {int(reason)} | `{reason.outcome}` | {reason.meaning} |" in page


def test_every_path_of_the_api_is_on_its_page() -> None:
    page = made("reference/api.md")
    for path in ("POST /v1/calls", "POST /v1/calls/next", "PATCH /v1/offers/{id}"):
        assert f"**`{path}`**" in page

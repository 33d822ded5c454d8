"""Faults in plain words, however many there are."""

import difflib

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from config.faults import MOST_GUESSED, faults_of


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    weight: int = 0


def test_meant_keys_are_looked_for_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[str] = []
    looking = difflib.get_close_matches

    def counted(word: str, possibilities: list[str], n: int) -> list[str]:
        compared.extend([word] * len(possibilities))
        return looking(word, possibilities, n=n)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    data = {f"wieght{number}": 1 for number in range(10 * MOST_GUESSED)}
    with pytest.raises(ValidationError) as caught:
        _Strict.model_validate(data)
    found = faults_of(caught.value, data, lambda _: ["weight"])
    assert len(found) == len(data)
    assert len(compared) == MOST_GUESSED
    assert found[0].message == "unknown key: did you mean `weight`?"
    assert found[-1].message == "unknown key: remove it"

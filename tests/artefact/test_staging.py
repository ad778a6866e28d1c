"""A folder appears whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nincc.artefact import artefact_files, staged
from nincc.errors import UsageError


def make_artefact(folder: Path, name: str = "nin") -> None:
    """An artefact as staging sees one: its manifest and the files it lists."""
    folder.mkdir(parents=True)
    for file in artefact_files(name):
        (folder / file).write_text("old")
    (folder / "manifest.json").write_text(json.dumps({"nincc": "0", "files": artefact_files(name)}))


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_appears_when_the_block_ends(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "down" / "nin"
    with staged(out) as folder:
        (folder / "file").write_text("new")
        assert not out.exists()
    assert contents(tmp_path) == {"deep/down/nin/file": "new"}
    assert out.stat().st_mode & 0o777 == 0o777 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), staged(tmp_path / "made" / "nin") as folder:
        (folder / "file").write_text("new")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_artefact(tmp_path: Path) -> None:
    make_artefact(tmp_path / "nin")
    before = contents(tmp_path)
    with pytest.raises(RuntimeError), staged(tmp_path / "nin") as folder:
        (folder / "manifest.json").write_text("new")
        raise RuntimeError
    assert contents(tmp_path) == before


@pytest.mark.parametrize("exchange", [True, False])
def test_replaces_an_artefact_and_keeps_the_users_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:  # a file system or C library that cannot swap two folders in one step
        monkeypatch.setattr("nincc.artefact.staging._RENAME_EXCHANGE", 1 << 30)
    out = tmp_path / "nin"
    make_artefact(out, "older")
    (out / "main.c").write_text("mine")
    (out / "__pycache__").mkdir()
    (out / "__pycache__" / "nin.pyc").write_text("litter")
    with staged(out) as folder:
        (folder / "libnin.a").write_text("new")
    assert contents(tmp_path) == {"nin/libnin.a": "new", "nin/main.c": "mine"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    with staged(tmp_path) as folder:
        (folder / "file").write_text("new")
    assert contents(tmp_path) == {"file": "new"}


def test_through_a_link(tmp_path: Path) -> None:
    make_artefact(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    with staged(tmp_path / "link") as folder:
        (folder / "file").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == {"file": "new"}


def test_refuses_what_is_no_artefact(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "file").write_text("text")
    for name, what in (("thesis", "other files"), ("file", "is a file")):
        with pytest.raises(UsageError, match=what) as caught, staged(tmp_path / name):
            pytest.fail("the block must not run")
        assert name in str(caught.value) and "-o" in str(caught.value)
    assert contents(tmp_path) == {"thesis/chapter.tex": "years of work", "file": "text"}


def test_a_manifest_of_another_program_is_no_artefact(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "manifest.json").write_text('{"name": "web app", "files": []}')
    with pytest.raises(UsageError, match="other files"), staged(tmp_path / "app"):
        pytest.fail("the block must not run")


def test_a_file_among_the_parents_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(UsageError, match="cannot write"), staged(tmp_path / "file" / "nin"):
        pytest.fail("the block must not run")

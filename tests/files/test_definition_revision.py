"""Definitions of a Git revision."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from platform_events.definitions.model import Definitions
from platform_events.errors import DefinitionsError, UsageError
from platform_events.files.loader import load_definitions
from platform_events.files.revision import load_definitions_at

EVENT = "event: {}\nfields: [{{name: id, type: string}}]\n"
AVRO = '{"type": "record", "name": "B__e", "fields": []}'


def git(cwd: Path, *arguments: str) -> None:
    identity = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org"}
    identity |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}
    subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *arguments],
        cwd=cwd,
        check=True,
        capture_output=True,
        env=os.environ | identity | {"GIT_CONFIG_GLOBAL": os.devnull},
    )


def commit(root: Path, message: str = "three") -> None:
    git(root, "add", ".")
    git(root, "commit", "-m", message)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose first commit, `one`, has two events; its files are gone since."""
    root = tmp_path_factory.mktemp("template") / "repo"
    (root / "schemas/sub").mkdir(parents=True)
    (root / "schemas/.schema").mkdir()
    for name, text in {
        "schemas/project.yaml": "project: shop\n",
        "schemas/A__e.yaml": EVENT.format("A__e"),
        "schemas/sub/B__e.yaml": "event: B__e\navro: ../b.avsc\n",
        "schemas/b.avsc": AVRO,
        "schemas/.schema/x.yaml": "hidden",
        "other.yaml": "not: ours",
    }.items():
        (root / name).write_text(text)
    git(root, "init")
    commit(root, "one")
    git(root, "tag", "one")
    git(root, "rm", "-r", "schemas")
    git(root, "commit", "-m", "two")
    return root


@pytest.fixture
def repository(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(template, tmp_path / "repo", symlinks=True)
    monkeypatch.chdir(root)
    return root


def test_a_revision_reads_as_the_directory_would(repository: Path) -> None:
    old = load_definitions_at("one", Path("schemas"))
    git(repository, "checkout", "one", "--", "schemas")
    assert load_definitions(Path("schemas")) == old
    assert old.project == "shop"
    assert old.events["A__e"].file == "one:schemas/A__e.yaml"


@pytest.mark.parametrize("reference", ["HEAD~1", "one^{}", "main~1"])
def test_any_name_of_a_commit_is_taken(repository: Path, reference: str) -> None:
    assert list(load_definitions_at(reference, Path("schemas")).events) == ["A__e", "B__e"]


def test_one_file_is_loaded_with_what_it_needs(repository: Path) -> None:
    found = load_definitions_at("one", Path("schemas/A__e.yaml"))
    assert (found.project, list(found.events)) == ("shop", ["A__e"])


def test_the_path_may_be_absolute_or_below_the_current_directory(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(load_definitions_at("one", repository / "schemas").events) == 2
    (repository / "docs").mkdir()
    monkeypatch.chdir("docs")
    assert len(load_definitions_at("one", Path("../schemas")).events) == 2


def test_the_root_of_the_repository_may_hold_the_definitions(repository: Path) -> None:
    with pytest.raises(DefinitionsError, match=r"HEAD:other.yaml:1:1"):
        load_definitions_at("HEAD", Path())


def test_a_path_that_did_not_exist_has_no_definitions(repository: Path) -> None:
    found = load_definitions_at("HEAD", Path("schemas"))
    assert (found.project, dict(found.events)) == ("default", {})


def test_problems_name_the_revision(repository: Path) -> None:
    (repository / "schemas").mkdir()
    (repository / "schemas/x.yaml").write_text("event: X\nfields: []\n")
    commit(repository)
    with pytest.raises(DefinitionsError) as refusal:
        load_definitions_at("HEAD", Path("schemas"))
    assert str(refusal.value).startswith("HEAD:schemas/x.yaml:1:8: event: ")


def test_links_and_large_files_are_problems(repository: Path) -> None:
    (repository / "schemas").mkdir()
    (repository / "schemas/a.yaml").symlink_to("../other.yaml")
    (repository / "schemas/b.yaml").write_bytes(b"#" * 1_100_000)
    commit(repository)
    with pytest.raises(DefinitionsError) as refusal:
        load_definitions_at("HEAD", Path("schemas"))
    assert [str(problem) for problem in refusal.value.problems] == [
        "HEAD:schemas/a.yaml: this is not a regular file; links are not followed in a revision",
        "HEAD:schemas/b.yaml: the file has 1,100,000 bytes; at most 1,048,576 are read",
    ]


@pytest.mark.parametrize("reference", ["nowhere", "", "-h", "--all", "one:schemas"])
def test_an_unknown_revision_is_refused(repository: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="git knows no revision"):
        load_definitions_at(reference, Path("schemas"))


def test_outside_a_repository_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match=r"git cannot read .*: not a git repository"):
        load_definitions_at("main", tmp_path / "schemas")


def test_without_git_it_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(UsageError, match="needs git, which is not on the PATH"):
        load_definitions_at("one", Path("schemas"))


def test_it_works_while_a_hook_runs(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    (repository / "schemas").mkdir()
    assert len(load_definitions_at("one", Path("schemas")).events) == 2


def move(repository: Path, *steps: str) -> None:
    """Restore what `one` had, then carry out `git` commands on it."""
    git(repository, "checkout", "one", "--", "schemas")
    for step in steps:
        git(repository, *step.split())


def found_at_one(path: str) -> dict[str, str]:
    """Return the file of each name that is found for what is there now."""
    found = load_definitions_at("one", Path(path), load_definitions(Path(path)))
    return {name: one.file for name, one in found.events.items()}


def test_a_renamed_directory_is_compared_with_what_it_was(repository: Path) -> None:
    move(repository, "mv schemas definitions", "rm -q -f definitions/A__e.yaml")
    (repository / "definitions/New__e.yaml").write_text(EVENT.format("New__e"))
    assert found_at_one("definitions") == {
        "A__e": "one:schemas/A__e.yaml", "B__e": "one:schemas/sub/B__e.yaml",
    }  # fmt: skip
    now = load_definitions(Path("definitions"))
    assert load_definitions_at("one", Path("definitions"), now).project == "shop"


def test_a_renamed_directory_without_a_project_s_file_is_found_too(repository: Path) -> None:
    (repository / "old/sub").mkdir(parents=True)
    (repository / "old/channels").mkdir()
    (repository / "old/sub/C__e.yaml").write_text("event: C__e\navro: ../c.avsc\n")
    (repository / "old/c.avsc").write_text(AVRO.replace("B__e", "C__e"))
    (repository / "old/channels/D__chn.yaml").write_text(
        "channel: D__chn\nmembers: [{event: C__e}]\n"
    )
    commit(repository)
    git(repository, "mv", "old", "new")
    now = load_definitions(Path("new"))
    assert load_definitions_at("HEAD", Path("new"), now) == now
    assert load_definitions_at("HEAD", Path("new")) == Definitions()


@pytest.mark.parametrize("path", ["schemas", "schemas/Other.yaml"])
def test_a_renamed_file_is_found_by_its_event_s_name(repository: Path, path: str) -> None:
    move(repository, "mv schemas/A__e.yaml schemas/Other.yaml")
    assert found_at_one(path)["A__e"] == "one:schemas/A__e.yaml"


def test_a_file_that_moved_to_the_directory_is_found_and_others_are_not(repository: Path) -> None:
    move(repository)
    (repository / "billing").mkdir()
    git(repository, "mv", "schemas/sub/B__e.yaml", "billing/B__e.yaml")
    (repository / "billing/B__e.yaml").write_text(EVENT.format("B__e"))
    assert found_at_one("billing") == {"B__e": "one:schemas/sub/B__e.yaml"}


def test_what_is_still_there_was_copied_and_not_renamed(repository: Path) -> None:
    move(repository)
    (repository / "copies").mkdir()
    (repository / "copies/A__e.yaml").write_text(EVENT.format("A__e"))
    assert found_at_one("copies") == {}


def test_a_moved_file_that_was_wrong_is_not_passed_over(repository: Path) -> None:
    (repository / "schemas").mkdir()
    (repository / "schemas/A__e.yaml").write_text("event: A__e\nfields: 7\n")
    (repository / "schemas/Unrelated.yaml").write_text("event: 9\n")
    commit(repository)
    git(repository, "mv", "schemas", "definitions")
    (repository / "definitions/Unrelated.yaml").unlink()
    (repository / "definitions/A__e.yaml").write_text(EVENT.format("A__e"))
    with pytest.raises(DefinitionsError, match=r"^HEAD:schemas/A__e.yaml:2:9: [^(]*$"):
        load_definitions_at("HEAD", Path("definitions"), load_definitions(Path("definitions")))

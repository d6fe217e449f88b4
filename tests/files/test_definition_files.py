"""Directories of definition files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import platform_events.files
from platform_events.errors import DefinitionsError
from platform_events.files.document import MAX_BYTES
from platform_events.files.loader import load_definitions

EVENT = "event: {}\nfields: [{{name: id, type: string}}]\n"


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def problems(path: Path, relative_to: Path | None = None) -> list[str]:
    with pytest.raises(DefinitionsError) as refusal:
        load_definitions(path)
    assert refusal.value.code == "INVALID_DEFINITIONS"
    base = f"{relative_to or path}/"
    return [str(problem).replace(base, "") for problem in refusal.value.problems]


def test_events_are_found_in_all_directories(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "project.yaml": "project: shop-1\nx-team: a\n",
            "B__e.yaml": EVENT.format("B__e"),
            "deep/er/A__e.yml": EVENT.format("A__e"),
            "README.md": "# Not a definition",
            ".hidden/C__e.yaml": "neither",
            ".D__e.yaml": "nor this",
        },
    )
    found = load_definitions(tmp_path)
    assert found.project == "shop-1"
    assert list(found.events) == ["A__e", "B__e"]
    assert found.events["A__e"].file == str(tmp_path / "deep/er/A__e.yml")


def test_the_project_is_default_unless_named(tmp_path: Path) -> None:
    assert load_definitions(write(tmp_path, {"a.yaml": EVENT.format("A__e")})).project == "default"


def test_one_file_is_loaded_with_the_project_beside_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"project.yaml": "project: shop\n", "a.yaml": EVENT.format("A__e"), "b.yaml": "broken: ["},
    )
    found = load_definitions(tmp_path / "a.yaml")
    assert (found.project, list(found.events)) == ("shop", ["A__e"])


def test_files_are_shown_as_the_user_named_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"schemas/a.yaml": EVENT.format("A__e")})
    monkeypatch.chdir(tmp_path)
    assert load_definitions(Path("schemas")).events["A__e"].file == "schemas/a.yaml"
    assert load_definitions(Path("schemas/a.yaml")).events["A__e"].file == "schemas/a.yaml"


def test_problems_of_all_files_come_in_order(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "b.yaml": "event: B__e\npartitions: 0\nretention: 1\nfields: []\n",
            "a.yaml": "event: a\nfields: [{name: x, type: y}, {name: CreatedDate, type: long}]\n",
            "project.yaml": "project: My Shop\nprojct: 1\n",
            "c.yaml": "",
            "d.yaml": b"\xff",
            "channels/C__chn.yaml": "channel: C__chn\n",
            "types/t.yaml": "name: T\n",
            "e.yaml": b"#" * (MAX_BYTES + 1),
            "sub/project.yaml": "project: x\n",
        },
    )
    starts = [problem[: problem.index(": ")] for problem in problems(tmp_path)]
    assert starts == [
        *("a.yaml:1:8", "a.yaml:2:26", "a.yaml:2:37", "b.yaml:2:13", "b.yaml:3:12", "c.yaml:1:1"),
        *("channels/C__chn.yaml:1:1", "d.yaml:1:1", "e.yaml"),
        *("project.yaml:1:10", "project.yaml:2:1", *["sub/project.yaml:1:1"] * 3, "types/t.yaml"),
    ]


def test_the_error_is_one_line_with_the_first_problem(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "event: A__e\nfields: [{name: x, type: strng}, {name: y}]\n"})
    with pytest.raises(DefinitionsError) as refusal:
        load_definitions(tmp_path)
    assert str(refusal.value) == (
        f"{tmp_path}/a.yaml:2:26: fields[0].type: 'strng' is not a type; did you mean string? "
        "(and 1 more)"
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("types/A.yaml", "the directory types is reserved for shared types, which this version"),
        ("project.yml", "the project's file is named project.yaml; rename it"),
    ],
)
def test_reserved_places_are_refused(tmp_path: Path, name: str, problem: str) -> None:
    write(tmp_path, {"a.yaml": EVENT.format("A__e"), name: EVENT.format("X__e")})
    (found,) = problems(tmp_path)
    assert found.startswith(f"{name}: {problem}")


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        ("A__e", "A__e", "A__e is already defined in a.yaml:1"),
        ("Ab__e", "aB__e", "aB__e differs only in case from Ab__e in a.yaml:1"),
    ],
)
def test_one_name_in_two_files_names_both(
    tmp_path: Path, first: str, second: str, problem: str
) -> None:
    write(tmp_path, {"a.yaml": EVENT.format(first), "b.yaml": "\n" + EVENT.format(second)})
    assert problems(tmp_path) == [f"b.yaml:2: event: {problem}"]


@pytest.mark.parametrize("files", [{}, {"project.yaml": "project: a\n"}, {"x.txt": "a"}])
def test_a_directory_without_events_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, dict(files))
    with pytest.raises(DefinitionsError, match="no event is defined here; `platform-events init`"):
        load_definitions(tmp_path)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "nul\0"):
        with pytest.raises(DefinitionsError):
            load_definitions(path)


def test_an_avro_file_is_found_relative_to_the_file(tmp_path: Path) -> None:
    record = {"type": "record", "name": "A__e", "fields": [{"name": "id", "type": "string"}]}
    write(
        tmp_path,
        {"events/a.yaml": "event: A__e\navro: ../avro/a.avsc\n", "avro/a.avsc": json.dumps(record)},
    )
    assert load_definitions(tmp_path).events["A__e"].schema.name == "A__e"
    (found,) = problems(tmp_path / "events/a.yaml")
    assert "avro: the file must stay inside" in found


@pytest.mark.parametrize(
    ("avro", "problem"),
    [
        ("b.avsc", "a.yaml:2:7: avro: b.avsc: there is no such file"),
        ("../b.avsc", "a.yaml:2:7: avro: the file must stay inside"),
        ("/etc/b.avsc", "a.yaml:2:7: avro: the file must stay inside"),
        ("x/../../b.avsc", "a.yaml:2:7: avro: the file must stay inside"),
        ("b.json", "a.yaml:2:7: avro: must be the path of an .avsc file, with / between its"),
        ("x\\b.avsc", "a.yaml:2:7: avro: must be the path of an .avsc file, with / between its"),
        ("dir.avsc", "a.yaml:2:7: avro: dir.avsc: this is not a regular file"),
        ("bad.avsc", "bad.avsc:1:1: not valid JSON"),
        ("bytes.avsc", "bytes.avsc:1:1: the file is not UTF-8"),
    ],
)
def test_an_avro_file_that_cannot_be_read_is_named(tmp_path: Path, avro: str, problem: str) -> None:
    write(
        tmp_path,
        {
            "s/a.yaml": f"event: A__e\navro: {avro}\n",
            "s/dir.avsc/x": "",
            "s/bad.avsc": "x",
            "s/bytes.avsc": b"\xff",
            "b.avsc": "{}",
        },
    )
    (found,) = problems(tmp_path / "s")
    assert found.startswith(problem)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert problems(tmp_path) == ["a.yaml: this is not a regular file"]


def test_a_mounted_config_map_loads(tmp_path: Path) -> None:
    record = {"type": "record", "name": "A__e", "fields": [{"name": "n", "type": "long"}]}
    channel = "channel: Sales__chn\nmembers:\n  - {event: A__e}\n"
    version = "..2026_01_31_12_00_00.123456789"
    write(
        tmp_path,
        {
            f"{version}/A__e.yaml": "event: A__e\navro: a.avsc\n",
            f"{version}/a.avsc": json.dumps(record),
            f"{version}/channels/Sales__chn.yaml": channel,
        },
    )
    (tmp_path / "..data").symlink_to(version)
    for name in ("A__e.yaml", "a.avsc", "channels"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    loaded = load_definitions(tmp_path)
    assert (list(loaded.events), list(loaded.channels)) == (["A__e"], ["Sales__chn"])


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    write(tmp_path, {"real/A__e.yaml": EVENT.format("A__e"), "schemas/b/B__e.yaml": "no"})
    root = tmp_path / "schemas"
    (root / "A__e.yaml").symlink_to("../real/A__e.yaml")
    (root / "b/B__e.yaml").unlink()
    assert problems(root) == [f"A__e.yaml: a link that leads out of {root}; copy it"]
    assert list(load_definitions(root / "A__e.yaml").events) == ["A__e"]
    for name, target, problem in (
        ("out", "../real", f"out: a link that leads out of {root}; copy it"),
        ("b/back", "..", "b/back: a link to a directory that it is in would never end; remove it"),
    ):
        (root / name).symlink_to(target)
        assert problems(root) == [problem]
        (root / name).unlink()
    (root / "c").mkdir()
    (root / "b/c").symlink_to("../c")
    (root / "c/b").symlink_to("../b")
    assert problems(root)[0].endswith("would never end; remove it")


def test_the_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path, {"real/A__e.yaml": EVENT.format("A__e")})
    (tmp_path / "schemas").symlink_to("real")
    assert list(load_definitions(tmp_path / "schemas").events) == ["A__e"]


def test_a_dangling_link_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("none")
    assert problems(tmp_path) == ["a.yaml: there is no such file"]


def test_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": EVENT.format("A__e").replace("\n", "\r\n")})
    assert load_definitions(tmp_path).events["A__e"].line == 1


def test_the_example_is_valid_and_the_same_in_the_repository() -> None:
    package = Path(platform_events.files.__file__).parent / "example"
    definitions = load_definitions(package)
    assert list(definitions.events) == ["Order_Placed__e"]
    assert list(definitions.channels) == ["Large_Orders__chn"]
    repository = Path(__file__).parents[2] / "schemas"
    for path in (found for found in package.rglob("*") if found.is_file()):
        assert (repository / path.relative_to(package)).read_text() == path.read_text()

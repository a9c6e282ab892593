"""Definitions in files: what they say, and the line and column of what is wrong."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.client.definition_file import FileInvalid, FileUnreadable, read


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_is_read_with_its_places(tmp_path: Path) -> None:
    path = file(tmp_path, "w.yaml", "name: w\nnodes:\n  - id: a\n    type: noop\n")
    found = read(path)
    assert found.document == {"name": "w", "nodes": [{"id": "a", "type": "noop"}]}
    assert found.where("/nodes/0/type") == f"{path}:4:11"
    assert found.where("/nodes/0/config/url") == f"{path}:3:5", "the nearest thing around it"
    assert found.where("") == f"{path}:1:1"


def test_json_is_read_with_its_places(tmp_path: Path) -> None:
    path = file(tmp_path, "w.json", '{"name": "w",\n "a~b/c": [1, {"x": 1e3}]}')
    found = read(path)
    assert found.document == {"name": "w", "a~b/c": [1, {"x": 1000.0}]}
    assert found.where("/a~0b~1c/1/x") == f"{path}:2:21"


def test_json_that_is_no_yaml_is_still_json(tmp_path: Path) -> None:
    path = file(tmp_path, "w.json", '{\t"name":\t"\\ud83d\\ude00"\t}')
    assert read(path).document == {"name": "😀"}


def test_a_date_in_yaml_stays_text(tmp_path: Path) -> None:
    text = "until: 2026-12-01\nat: 2026-12-01T10:00:00Z\nyes: on\n"
    with pytest.raises(FileInvalid, match=r'w.yaml:3:1: a key is a text: write "yes"'):
        read(file(tmp_path, "w.yaml", text))
    found = read(file(tmp_path, "w.yaml", text.replace("yes:", "'yes':")))
    assert found.document == {"until": "2026-12-01", "at": "2026-12-01T10:00:00Z", "yes": True}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("w.yaml", "name: a\nnodes: []\nname: b\n", r"w.yaml:3:1: the key 'name' stands twice"),
        ("w.yaml", "nodes:\n  - {id: a, id: b}\n", r"w.yaml:2:13: the key 'id' stands twice"),
        ("w.json", '{"a": 1,\n "a": 2}', r"w.json:2:2: the key 'a' stands twice"),
        ("w.json", '{\t"a": 1,\n\t"a":\t2}', r"the key 'a' stands twice"),
        ("w.yaml", "name: [a\n", r"w.yaml:2:1: "),
        ("w.yaml", "a: &x [*x]\n", "values nest at most 64 deep"),
        ("w.yaml", "a: .nan\n", "more than JSON can say"),
        ("w.yaml", "a: !!python/object:os.system x\n", r"w.yaml:1:4: could not determine"),
        ("w.yaml", "1: one\n", r"w.yaml:1:1: a key is a text"),
        ("w.yaml", "- a\n", r"w.yaml:1:1: a definition is an object"),
        ("w.yaml", "", r"w.yaml:1:1: a definition is an object"),
        ("w.yaml", "a: b\n---\nc: d\n", r"w.yaml:2:1: "),
        ("w.json", '{"a": NaN}', "JSON has no NaN"),
        ("w.json", '{"a": }', r"w.json:1:7: Expecting value"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(FileInvalid, match=said):
        read(file(tmp_path, name, text))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("w.yaml", "a: " + "[" * 100_000, r"w.yaml:1:67: values nest at most 64 deep"),
        ("w.json", '{"a": ' + "[" * 100_000, r"w.json:1:70: values nest at most 64 deep"),
        ("w.json", r'{"s": "\ud83d\ude00", "a": ' + "[" * 100_000, "recursion"),
        ("w.yaml", "- " * 50_000, "values nest at most 64 deep"),
        (
            "w.yaml",
            "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
            "at most 400000 values",
        ),
    ],
    ids=["yaml", "json", "no-yaml", "block", "aliases"],
)
def test_what_would_not_fit_into_memory_is_refused(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(FileInvalid, match=said):
        read(file(tmp_path, name, text))


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"a: b\nc: \xff\n")
    with pytest.raises(FileInvalid, match=r"w.yaml:2:1: this is not UTF-8"):
        read(path)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read(path).document == {"a": 1}


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="No such file"):
        read(tmp_path / "none.yaml")
    with pytest.raises(FileUnreadable, match="directory"):
        read(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_any_json_object_comes_back(document: dict[str, object], tmp_path: Path) -> None:
    path = file(tmp_path, "any.json", json.dumps(document))
    assert read(path).document == document

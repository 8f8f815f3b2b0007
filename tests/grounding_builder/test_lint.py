"""Lint reports every kind of fault, and nothing in valid data."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qvl.grounding_builder.command import app
from qvl.grounding_builder.lint import lint_file
from qvl.pipeline.base.errors import DataError, RecipeError
from tests.grounding_builder.helpers import jpeg
from tests.pipeline.samples import tar_bytes


def lint(path: Path, *texts: str, **more: Any) -> dict[str, int]:
    turns = [{"from": "user" if n % 2 == 0 else "assistant", "value": text} for n, text in enumerate(texts)]
    path.write_text(json.dumps([{"id": "1", "conversations": turns, **more}]))
    return {kind: finding.count for kind, finding in lint_file(path).findings.items()}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("<ref>a</ref><box>(1,2),(3,4)</box>", {}),
        ("<ref>a</ref><box> ( 1, 2 ), (3,4)</box><box>(0,0),(999,999)</box>", {}),
        ("<box>(3,2),(1,4)</box>", {"swapped": 1}),
        ("<box>(1,2),(1000,4)</box>", {"1000": 1}),
        ("<box>(1,2),(1001,4)</box><box>(-1,2),(3,4)</box>", {"outside": 2}),
        ("<box>(1,2),(1,4)</box>", {"zero_area": 1}),
        ("<box>(1,2)</box><box></box>", {"malformed": 2}),
        ("<ref>a<box>(1,2),(3,4)</box>", {"unclosed": 1}),
        ("<quad>(1,1),(9,1),(9,5),(1,5)</quad>", {}),
        ("<quad>(1,1),(9,1),(9,5)</quad>", {"malformed": 1}),
    ],
)
def test_lint_counts_faults_of_tags_and_coordinates(tmp_path: Path, text: str, kinds: dict[str, int]) -> None:
    assert lint(tmp_path / "data.json", "look", text) == kinds


def test_lint_counts_faults_of_image_files(tmp_path: Path) -> None:
    (tmp_path / "turned.jpg").write_bytes(jpeg(40, 20, orientation=6))
    (tmp_path / "good.jpg").write_bytes(jpeg(40, 20))
    file = tmp_path / "data.json"
    assert lint(file, "<img>good.jpg</img>hi", width=40, height=20) == {}
    assert lint(file, "<img>good.jpg</img>hi", width=20, height=40) == {"size_mismatch": 1}
    assert lint(file, "<img>turned.jpg</img>hi") == {"exif_rotated": 1}
    assert lint(file, "hi", image="none.jpg") == {"image": 1}


def test_lint_counts_unreadable_records_and_raises_on_unreadable_files(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    good = {"messages": [{"role": "user", "content": "<box>(1,2),(3,4)</box>"}]}
    file.write_text("\n".join([json.dumps(good), "nonsense", "[1]", json.dumps({"turns": [{"text": "x"}]})]))
    found = lint_file(file)
    assert (found.records, found.boxes, found.findings["unreadable"].count) == (2, 1, 2)
    file.with_suffix(".json").write_text("nonsense")
    with pytest.raises(DataError, match="not JSON"):
        lint_file(file.with_suffix(".json"))
    with pytest.raises(RecipeError, match="no such file"):
        lint_file(tmp_path / "none.json")


def test_lint_when_a_sample_of_a_tar_has_bad_json_counts_it_and_goes_on(tmp_path: Path) -> None:
    good = json.dumps({"turns": [{"role": "user", "text": "<box>(3,2),(1,4)</box>"}]}).encode()
    members = [("a.json", b"{"), ("b.json", b"[1]"), ("c.json", good), ("._c.json", b"\0")]
    (tmp_path / "x.tar").write_bytes(tar_bytes(members))
    found = lint_file(tmp_path / "x.tar").findings
    assert {kind: finding.count for kind, finding in found.items()} == {"unreadable": 2, "swapped": 1}


def test_lint_command_exits_with_1_when_something_is_wrong(tmp_path: Path) -> None:
    lint(tmp_path / "bad.json", "<box>(3,2),(1,4)</box>")
    result = CliRunner().invoke(app, ["lint", str(tmp_path / "bad.json")])
    assert result.exit_code == 1 and "swapped" in result.output
    result = CliRunner().invoke(app, ["lint", str(tmp_path / "bad.json"), "--json"])
    assert json.loads(result.output)["findings"]["swapped"]["first"] == ["bad.json:1: <box>(3,2),(1,4)</box>"]


def detection(path: Path, *boxes: Any) -> dict[str, int]:
    images = [{"id": n, "width": 640, "height": 480, "file_name": f"{n}.jpg"} for n in range(len(boxes))]
    annotations = [{"id": n, "image_id": n, "category_id": 1, "bbox": box} for n, box in enumerate(boxes)]
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "fox"}]})
    )
    report = lint_file(path)
    assert (report.records, report.boxes) == (len(boxes), len(boxes))
    return {kind: finding.count for kind, finding in report.findings.items()}


@pytest.mark.parametrize(
    ("boxes", "kinds"),
    [
        (([100, 100, 200, 150], [0, 0, 640, 480]), {}),
        (
            ([100, 100, 200, 150], None, [1, 2], [0, 0, 0, 5]),
            {"box:malformed": 1, "box:missing": 1, "box:zero_area": 1},
        ),
        (([400, 300, 600, 450], [300, 200, 500, 350]), {"box:contradicts_size": 1, "box_reading": 1}),
    ],
    ids=["valid", "faulty", "corners"],
)
def test_lint_when_given_a_detection_file_counts_faulty_boxes_and_tests_their_meaning(
    tmp_path: Path, boxes: tuple[Any, ...], kinds: dict[str, int]
) -> None:
    assert detection(tmp_path / "instances.json", *boxes) == kinds

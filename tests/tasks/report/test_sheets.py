"""What is shown in the UI holds its pictures itself and stays small."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from prefect.client.schemas.actions import ArtifactCreate

from tasks.report.sheets import scores_table
from tasks.show.artifact import ARTIFACT_BYTES, artifact_key, picture_text, where_text
from tasks.show.sheet import to_jpeg

SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'


def pictures(text: str) -> dict[str, bytes]:
    found = re.findall(r"!\[[^\]]*\]\(data:image/([a-z+]+);base64,([^)]+)\)", text)
    return {kind: base64.b64decode(data) for kind, data in found}


def test_a_small_picture_and_its_curves_are_shown_as_they_are() -> None:
    jpeg = to_jpeg(np.full((80, 120, 3), 90, np.uint8))
    assert pictures(picture_text("take", jpeg, "a note", SVG)) == {"jpeg": jpeg, "svg+xml": SVG.encode()}


def test_a_picture_that_the_ui_would_choke_on_is_made_smaller_until_it_fits() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1400, 3), dtype=np.uint8)
    text = picture_text("take", to_jpeg(noise), "a note", SVG)
    assert len(to_jpeg(noise)) > ARTIFACT_BYTES
    assert len(text) <= ARTIFACT_BYTES
    width, height = Image.open(io.BytesIO(pictures(text)["jpeg"])).size
    assert width > 300
    assert abs(width / height - 1400 / 900) < 0.02


def test_the_best_of_every_column_stands_out() -> None:
    scores = {"a": {"mse": 2e-4, "sad": 1e-3, "grad": 1e-5}, "b": {"mse": 1e-4, "sad": 3e-3, "grad": 1e-5}}
    *_, a, b = scores_table(scores, {"a": "teacher-x-v0001", "b": "teacher-x-v0002"}).splitlines()
    assert a == "| a | 2.00 | **1.00** | **1.00** | `teacher-x-v0001` |"
    assert b == "| b | **1.00** | 3.00 | **1.00** | `teacher-x-v0002` |"


@pytest.mark.parametrize("take", ["walk", "Take_01", "B 7/ä", "--"])
def test_a_take_may_be_called_anything(take: str) -> None:
    assert ArtifactCreate(key=artifact_key(f"sheet-{take}")).key.startswith("sheet")


def test_where_a_report_lies_can_be_copied_into_a_browser() -> None:
    assert where_text("/store/reports/r.html").endswith("`file:///store/reports/r.html`")
    assert where_text("s3://bucket/reports/r.html").endswith("`s3://bucket/reports/r.html`")

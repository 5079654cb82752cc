"""How a run of Nerfstudio deals with being killed; the program is a small one that leaves the same files.

The true one does the same in tests/nerfstudio.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import StoreError
from tasks.geometry.nerfstudio import run as nerfstudio_run
from tasks.geometry.nerfstudio.call import Interrupted
from tasks.geometry.nerfstudio.run import METHOD, Preset, iterations_done, run_nerfstudio

PRESET = Preset(1000, 64, "random", 60)
PROGRAM = """#!{python}
import gzip, io, json, os, signal, sys, zipfile
from pathlib import Path
words = sys.argv[2:]
def of(flag): return words[words.index(flag) + 1]
work = Path("{work}")
models = work / "scene" / "{method}" / "run" / "nerfstudio_models"
with (work / "calls").open("a") as calls:
    calls.write(json.dumps(words) + chr(10))
if words[0] == "train":
    models.mkdir(parents=True, exist_ok=True)
    start = max((int(p.stem[5:]) + 1 for p in models.glob("*.ckpt")), default=0) if "--load-dir" in words else 0
    deadly = len((work / "calls").read_text().splitlines()) <= {deaths}
    last = start + int(of("--max-num-iterations")) // (2 if deadly else 1) - 1
    with zipfile.ZipFile(models / f"step-{{last:09d}}.ckpt", "w") as archive:
        archive.writestr("data", bytes(100))
    print(f"{{last}} (50.00%)  1 ms", flush=True)
    if deadly:
        os.kill(os.getpid(), signal.SIGKILL)
else:
    import numpy
    for kind, channels in (("raw-rgb", 3), ("raw-accumulation", 1)):
        (folder := Path(of("--output-path")) / "test" / kind).mkdir(parents=True)
        for camera in ("A", "B"):
            with gzip.open(folder / f"{{camera}}.npy.gz", "wb") as file:
                numpy.save(file, numpy.full((4, 5, channels), 0.5, "float32"))
"""


def _program(folder: Path, deaths: int) -> Path:
    path = folder / "program"
    work = folder / "work"
    path.write_text(PROGRAM.format(python=sys.executable, work=work, method=METHOD, deaths=deaths))
    path.chmod(0o755)
    return path


def _trained(folder: Path) -> list[list[str]]:
    calls = [json.loads(line) for line in (folder / "work" / "calls").read_text().splitlines()]
    return [words for words in calls if words[0] == "train"]


def test_a_run_that_was_killed_once_is_started_again_where_it_was(tmp_path: Path) -> None:
    program = _program(tmp_path, deaths=1)
    renders = run_nerfstudio(program, tmp_path, tmp_path / "work", PRESET, 0, ["A", "B"])
    first, second = _trained(tmp_path)
    assert first[first.index("--max-num-iterations") + 1] == "1000"
    assert "--load-dir" not in first
    assert second[second.index("--max-num-iterations") + 1] == "500"
    assert "--load-dir" in second
    assert sorted(renders) == ["A", "B"]
    assert np.array_equal(renders["A"][0], np.full((3, 4, 5), 0.5, np.float32))


def test_one_that_is_killed_again_and_again_is_given_up_and_keeps_what_it_has(tmp_path: Path) -> None:
    program = _program(tmp_path, deaths=2)
    with pytest.raises(Interrupted, match="SIGKILL"):
        run_nerfstudio(program, tmp_path, tmp_path / "work", PRESET, 0, ["A", "B"])
    assert len(_trained(tmp_path)) == 2
    assert iterations_done(tmp_path / "work") == 750
    assert "749 (50.00%)" in (tmp_path / "work" / "nerfstudio.log").read_text()
    assert sorted(run_nerfstudio(program, tmp_path, tmp_path / "work", PRESET, 0, ["A", "B"])) == ["A", "B"]
    assert _trained(tmp_path)[-1].count("250") == 1


def test_a_disk_without_room_is_refused_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nerfstudio_run, "WORK_GB", 1e9)
    with pytest.raises(StoreError, match="a run needs 1e\\+09 GB"):
        run_nerfstudio(_program(tmp_path, 0), tmp_path, tmp_path / "work", PRESET, 0, ["A", "B"])
    assert not (tmp_path / "work" / "calls").exists()

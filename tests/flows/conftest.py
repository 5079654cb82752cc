"""A tiny rendered session and the command line in a folder of its own, as a user has them."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sim.sample import render_sample

TINY = [
    "teacher.iterations=6",
    "teacher.batch=5",
    "teacher.crop=64",
    "student.base_iterations=3",
    "student.joint_iterations=3",
    "student.batch=4",
    "student.crop=64",
    "supervisor.steps=2",
    "reconstruction.iterations=20",
    "reconstruction.resolution=32",
    "cluster.memory=2.5GiB",
    "cameras_per_task=2",
]
"""Settings that make every step of the chain short; every step still does its real work."""


def tiny_settings(samples: Path) -> list[str]:
    """Settings (`key=value`) of the chain on the tiny session in `samples`."""
    sample = [f"base_data={samples}/base", f"session={samples}/session/session.toml", f"truth={samples}/truth"]
    return [*TINY, "scribble_takes=amber", "pseudo_takes=birch,amber", *sample]


@dataclass
class Folder:
    """A working folder with a tiny session in it and the `capmat` command.

    Args:
        path: the folder.
        env: variables on top of the machine's own.
    """

    path: Path
    samples: Path
    env: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command of capmat."""
        sets = [word for setting in tiny_settings(self.samples) for word in ("--set", setting)]
        return self._python("-m", "flows.cli", *sets, *words)

    def python(self, *words: str) -> None:
        """Run Python to the end, as a command in this folder."""
        assert self._python(*words).wait(timeout=900) == 0

    def _python(self, *words: str) -> subprocess.Popen[str]:
        root = str(Path(__file__).parents[2])
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=self.path,
            env={**os.environ, "PYTHONPATH": root, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, limit_s: float = 900) -> str:
        """Run to the end; the output, which must not be a failure's."""
        process = self.start(*words)
        out, _ = process.communicate(timeout=limit_s)
        assert process.returncode == 0, out[-3000:]
        return out

    def kill_at(self, text: str, *words: str, limit_s: float = 300) -> list[str]:
        """Start, and kill everything the hard way as soon as a line holds `text`."""
        process, seen = self.start(*words), []
        assert process.stdout is not None
        stop = time.monotonic() + limit_s
        for line in process.stdout:
            seen.append(line)
            if text in line or time.monotonic() > stop:
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return seen

    def report(self) -> dict[str, Any]:
        """The one report below the local store."""
        (file,) = (self.path / ".capmat/store/reports").glob("*/report.json")
        return dict(json.loads(file.read_text()))


@pytest.fixture(scope="session")
def tiny_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("samples")
    render_sample(out, tiny=True)
    return out

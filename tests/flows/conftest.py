"""A tiny rendered session and the command line in a folder of its own, as a user has them."""

import fcntl
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tasks.sim.sample import render_sample
from tests.project import ROOT

TINY = [
    "teacher.iterations=6",
    "teacher.batch=5",
    "teacher.crop=64",
    "teacher.scribble_share=0.2",
    "teacher.scribble_weight=5",
    "teacher.noise=0.1",
    "student.base_iterations=3",
    "student.joint_iterations=3",
    "student.lr_scale=0.25",
    "student.batch=4",
    "student.crop=128",
    "student.base_share=0",
    "student.recolour=0",
    "supervisor.steps=2",
    "reconstruction.iterations=20",
    "reconstruction.resolution=32",
    "cluster.memory=2.5GiB",
    "cluster.train_threads=1",
    "cameras_per_task=2",
    "gate.margin=1",
    "gate.worst=100",
]
"""Settings that make every step of the chain short; every step still does its real work. So short a training makes
teacher and student a little better (benchmark MSE 0.99 of the base models'), and the gate takes what is no worse."""


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
        return self._python("-m", "flows.command.main", *sets, *words)

    def python(self, *words: str) -> None:
        """Run Python to the end, as a command in this folder."""
        assert self._python(*words).wait(timeout=900) == 0

    def _python(self, *words: str) -> subprocess.Popen[str]:
        root = str(ROOT)
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


@pytest.fixture(scope="session")
def tiny_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny session, rendered once for all processes of a test run; tests only read it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out, done = shared / "tiny-samples", shared / "tiny-samples.done"
    with (shared / "tiny-samples.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            render_sample(out, tiny=True)
            done.touch()
    return out

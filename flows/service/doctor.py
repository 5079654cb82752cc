"""`capmat doctor`: what this machine has, and how to mend what is missing."""

import importlib.metadata
import os
import shutil
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from capmat_errors import CapmatError, ConfigError, StoreError
from storage.store.errors import store_errors
from tasks.config import Config


class Finding(BaseModel):
    """The state of one part of the machine."""

    name: str
    state: Literal["ok", "missing", "limited"]
    detail: str
    fix: str = ""
    needed: bool = False


def _python() -> Finding:
    version = ".".join(str(n) for n in sys.version_info[:3])
    packages = ("torch", "timm", "zarr", "prefect", "dask")
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)
    return Finding(name="python", state="ok", detail=f"{version}; {versions}", needed=True)


def _cores() -> Finding:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    state: Literal["ok", "limited"] = "ok" if gib >= 8 else "limited"
    fix = "" if state == "ok" else "Set cluster.workers to 1: the demo needs about 6 GiB"
    return Finding(name="machine", state=state, detail=f"{os.cpu_count()} cores, {gib:.0f} GiB", fix=fix)


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Finding(name="GPU", state="ok", detail=names)
    fix = "Everything runs on the CPU in the demo size; the published sizes need a CUDA device"
    return Finding(name="GPU", state="missing", detail="no CUDA device", fix=fix)


def _store(config: Config) -> Finding:
    from storage.store.marker import check_place
    from storage.store.root import Root

    try:
        check_place(root := Root(config.store))
        # a store that has not begun leaves no empty folder behind
        (root if root.remote else Root(_existing(root.url))).checked()
    except CapmatError as e:
        return Finding(name="store", state="missing", detail=str(e), fix=e.fix, needed=True)
    return Finding(name="store", state="ok", detail=f"{config.store} is writable", needed=True)


def _existing(store: str) -> Path:
    """The folder of a store, or the nearest one above it that exists."""
    folder = Path(store).resolve()
    with store_errors(str(folder)):
        return next(place for place in (folder, *folder.parents) if place.exists())


def _disk(config: Config) -> Finding:
    if "://" in config.store:
        return Finding(name="disk", state="ok", detail="the store is not on this machine")
    try:
        folder = _existing(config.store)
    except StoreError as e:
        return Finding(name="disk", state="limited", detail=f"not known: {e.what}", fix=e.fix)
    free = shutil.disk_usage(folder).free / 2**30
    state: Literal["ok", "limited"] = "ok" if free > 5 else "limited"
    fix = "" if state == "ok" else "Free some space: a real take needs gigabytes"
    return Finding(name="disk", state=state, detail=f"{free:.0f} GiB free at {folder}", fix=fix)


def _history(config: Config) -> Finding:
    """What grows with every night: the database and the logs of this folder, and what the store keeps of nights."""
    from flows.service.history import files, long_logs
    from storage.store.root import Root
    from tasks.show.figures import amount

    sizes = {file.name: size for file, size in files().items()}
    try:
        root = Root(config.store)
        sizes |= {
            name: sum(root.sizes(f"{name}/").values()) for name in ("reports", "plans", "drafts", "checkpoints")
        }
    except CapmatError:
        pass  # the store has a line of its own
    detail = ", ".join(f"{name} {amount(size)}" for name, size in sizes.items() if size) or "nothing yet"
    if long_logs():
        return Finding(name="history", state="limited", detail=detail, fix="Shorten the logs: `capmat gc --yes`")
    return Finding(name="history", state="ok", detail=detail)


def _s3() -> Finding:
    version = importlib.metadata.version("s3fs")
    given = [n for n in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL") if os.environ.get(n)]
    if given:
        return Finding(name="S3", state="ok", detail=f"s3fs {version}; from {', '.join(given)}")
    fix = "For s3:// stores set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return Finding(name="S3", state="limited", detail=f"s3fs {version}; no credentials found", fix=fix)


def _ffmpeg() -> Finding:
    detail = f"PyAV {importlib.metadata.version('av')} (brings its own ffmpeg libraries)"
    return Finding(name="ffmpeg", state="ok", detail=detail, needed=True)


def _nerfstudio(config: Config) -> Finding:
    import torch

    from tasks.geometry.nerfstudio.install import compiler_problem, nerfstudio_python, versions

    try:
        python = nerfstudio_python(config.reconstruction.nerfstudio)
        if python is None:
            fix = "Install it with `capmat reconstruct --install`; see docs/reconstruct.md"
            return Finding(name="nerfstudio", state="missing", detail="the CPU voxel grid is used instead", fix=fix)
        installed = versions(python)
    except CapmatError as e:
        return Finding(name="nerfstudio", state="missing", detail=str(e), fix=e.fix)
    detail = f"{installed['nerfstudio']}, torch {installed['torch']} CUDA {installed['cuda'] or 'none'}, at {python}"
    problems = [] if torch.cuda.is_available() else ["no CUDA device, so the CPU voxel grid is used instead"]
    if problem := compiler_problem(installed):
        problems.append(problem)
    if problems:
        return Finding(name="nerfstudio", state="limited", detail=detail, fix="; ".join(problems))
    return Finding(name="nerfstudio", state="ok", detail=detail)


def _weights(config: Config) -> list[Finding]:
    from tasks.models.networks import read_base_weights

    findings = []
    for role in ("teacher", "student", "supervisor"):
        name = getattr(config, role).model
        try:
            data, card = read_base_weights(Path(config.weights), name)
        except CapmatError as e:
            findings.append(Finding(name=role, state="missing", detail=str(e), fix=e.fix, needed=True))
            continue
        trained = f"{len(data) / 2**20:.1f} MiB, trained {card.get('date', 'at an unknown date')}"
        detail = f"{name}, {card.get('method', trained)}"
        findings.append(Finding(name=role, state="ok", detail=detail, needed=True))
    return findings


def _simulator() -> Finding:
    try:
        version = importlib.metadata.version("mitsuba")
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            name="mitsuba",
            state="missing",
            detail="no rendered stage",
            fix="Install it with `pip install mitsuba`, or run `make setup` in the clone",
        )
    return Finding(name="mitsuba", state="ok", detail=f"{version} (rendered stage)")


def _cluster(config: Config) -> Finding:
    from importlib.util import find_spec

    from flows.cluster.kinds import PACKAGES
    from flows.cluster.security import check_answer

    cluster = config.cluster
    if cluster.address:
        detail = f"the Dask scheduler at {cluster.address}"
        try:
            check_answer(cluster, cluster.address)
        except ConfigError as error:
            detail = f"{detail}: {error.what}"
            return Finding(name="cluster", state="missing", detail=detail, fix=error.fix, needed=True)
        return Finding(name="cluster", state="ok", detail=detail)
    package = PACKAGES.get(cluster.kind, "distributed")
    if find_spec(package) is None:
        fix = f"Install it with pip install 'capmat[{cluster.kind}]'"
        detail = f"{cluster.kind}, whose package {package.replace('_', '-')} is not installed"
        return Finding(name="cluster", state="missing", detail=detail, fix=fix, needed=True)
    if cluster.kind == "local-cuda":
        import torch

        if not (gpus := torch.cuda.device_count()):
            fix = "Set cluster.kind to local"
            return Finding(name="cluster", state="missing", detail="local-cuda, no GPU", fix=fix, needed=True)
        detail = f"local-cuda: {gpus} GPU and {cluster.workers} CPU workers, {cluster.memory} each"
        return Finding(name="cluster", state="ok", detail=detail)
    detail = f"{cluster.kind}: {cluster.workers} workers, {cluster.memory} each"
    if cluster.maximum:
        detail += f"; up to {cluster.maximum} when tasks wait"
    return Finding(name="cluster", state="ok", detail=detail)


def examine(config: Config) -> list[Finding]:
    """Check everything that a run may need."""
    return [
        _python(),
        _cores(),
        _gpu(),
        _cluster(config),
        _store(config),
        _disk(config),
        _history(config),
        _s3(),
        _ffmpeg(),
        _nerfstudio(config),
        _simulator(),
        *_weights(config),
    ]


def lines(findings: list[Finding]) -> list[str]:
    """The findings as text, one per line, each with its fix below it."""
    marks = {"ok": "ok     ", "missing": "MISSING", "limited": "limited"}
    rows = []
    for f in findings:
        rows.append(f"{marks[f.state]}  {f.name:11} {f.detail}")
        if f.fix:
            rows.append(f"{'':9}{'':11} -> {f.fix}")
    return rows

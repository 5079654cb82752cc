"""Run a Nerfstudio command without a network. Started by the Python of Nerfstudio's own environment.

    <that environment>/bin/python offline.py train|render|check|versions ARGUMENTS

Two things stop Nerfstudio 1.1.5 today. Every model builds LPIPS, which downloads 233 MB before the first step.
capmat judges by its own figures, so a module that measures nothing takes its place, in training and in rendering
alike (its weights would be in the checkpoint). And torch 2.6 and later refuse Nerfstudio's checkpoints, which hold
numpy scalars; they are our own files, so loading them is allowed.

Every other download is refused here, and the program ends when the program that started it ends.
"""

import fcntl
import importlib
import importlib.metadata
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import Any

STARTER = "NERFSTUDIO_STARTED_BY"
"""Environment variable with the process id of the program that started this one; they end together."""


def main() -> None:
    """Close the network, replace LPIPS, then hand over to Nerfstudio."""
    command = sys.argv.pop(1)
    if command == "versions":
        sys.stdout.write(json.dumps(versions()) + "\n")
        return
    die_with_starter()
    no_network()
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"

    import torch
    import torchmetrics.image.lpip as lpip

    class NotMeasured(torch.nn.Module):
        def __init__(self, **_: Any) -> None:
            super().__init__()

        def forward(self, pred: torch.Tensor, _true: torch.Tensor) -> torch.Tensor:
            return torch.full((), float("nan"), device=pred.device)

    lpip.LearnedPerceptualImagePatchSimilarity = NotMeasured
    if command in ("train", "render"):
        load_nerfacc()
    if command in ("train", "check"):
        from nerfstudio.scripts.train import entrypoint
    elif command == "render":
        from nerfstudio.scripts.render import entrypoint
    else:
        raise SystemExit(f"{command}: choose train, render, check or versions")
    if command == "check":
        sys.stdout.write(json.dumps(versions()) + "\n")
        return
    entrypoint()


def versions() -> dict[str, str]:
    """Versions of what matters, without importing it (torch alone takes seconds)."""
    packages = {name: importlib.metadata.version(name) for name in ("nerfstudio", "nerfacc", "torch")}
    version_file = importlib.metadata.distribution("torch").locate_file("torch/version.py")
    cuda = runpy.run_path(str(version_file)).get("cuda") or ""
    parts = importlib.metadata.distribution("nerfacc").locate_file("nerfacc")
    compiled = "yes" if any(Path(str(parts)).glob("csrc*")) else ""
    return {**packages, "cuda": cuda, "compiled": compiled, "python": sys.version.split()[0]}


def load_nerfacc() -> None:
    """Load nerfacc's CUDA part, which compiles itself at its first use, one program at a time.

    torch guards that by a file. If a program was killed while it compiled, others would wait for the file for ever.
    """
    from torch.utils.cpp_extension import _get_build_directory

    folder = Path(_get_build_directory("nerfacc_cuda", verbose=False))
    with folder.with_name("nerfacc_cuda.capmat").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (folder / "lock").unlink(missing_ok=True)  # its owner was killed
        importlib.import_module("nerfacc.cuda._backend")


def no_network() -> None:
    """Refuse every connection that leaves this machine."""
    os.environ.update(WANDB_MODE="offline", HF_HUB_OFFLINE="1", NO_PROXY="*", no_proxy="*")

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"no network: {address[0]} was asked for")
        plain(self, address)

    plain = socket.socket.connect
    socket.socket.connect = refuse  # type: ignore[method-assign, assignment]
    lookup = socket.getaddrinfo

    def unknown(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in (None, "", "127.0.0.1", "::1", "localhost"):
            raise socket.gaierror(socket.EAI_FAIL, f"no network: {host} was asked for")
        return lookup(host, *rest, **more)

    socket.getaddrinfo = unknown


def die_with_starter() -> None:
    """Have the system end this process with the process that started it, even if that one is killed."""
    starter = os.environ.get(STARTER)
    if starter is None or not sys.platform.startswith("linux"):
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != int(starter):  # it ended before we asked
        raise SystemExit("the program that started this one has ended")


# its loaders start processes that import this file again
if __name__ == "__main__":
    main()

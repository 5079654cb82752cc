"""ViTMatte-S against the same network of the `transformers` library, with the same weights.

    python benchmarks/teacher.py [--threads 2] [--size 512x512] [--device cuda]

Every run is a process of its own, so that the peak memory is that of one network; the two take turns. A run may
use as much memory as is free; one that does not fit is reported as such, with the limit. The
library is not among capmat's requirements: `pip install transformers`.
"""

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("transformers", "capmat")
_SMALL = 1_000_000  # pixels up to which a run is repeated inside a process


def port(weights: dict[str, Any]) -> Any:
    """The library's network with our (official) weights under its names."""
    from transformers import VitDetConfig, VitMatteConfig, VitMatteForImageMatting

    from capmat_models.weights.official_names import TRANSFORMERS

    backbone = VitDetConfig(
        hidden_size=384, num_attention_heads=6, num_hidden_layers=12, num_channels=4, image_size=512,
        pretrain_image_size=224, patch_size=16, window_size=14, use_relative_position_embeddings=True,
        window_block_indices=[0, 1, 3, 4, 6, 7, 9, 10], residual_block_indices=[2, 5, 8, 11],
        out_features=["stage12"],
    )  # fmt: skip
    config = VitMatteConfig(
        backbone_config=backbone, hidden_size=384, batch_norm_eps=1e-5,
        convstream_hidden_sizes=[48, 96, 192], fusion_hidden_sizes=[256, 128, 64, 32],
    )  # fmt: skip
    renamed = {}
    for name, value in weights.items():
        for theirs, official in TRANSFORMERS:
            name = name.replace(official, theirs)
        renamed[name] = value
    network = VitMatteForImageMatting(config)
    network.load_state_dict(renamed, strict=True)
    return network.eval()


def measure(name: str, height: int, width: int, threads: int, device: str, out: Path) -> dict[str, float]:
    """Seconds of one forward and peak memory (MiB) of this process; the alpha goes to a file."""
    import torch

    from capmat_models.networks.factory import create_model
    from capmat_models.networks.inputs import imagenet, pad_to, padded_size

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    ours: Any = create_model("vitmatte_s").eval()
    for key, buffer in ours.named_parameters():
        if buffer.ndim == 1 and not key.endswith("bias"):
            torch.nn.init.uniform_(buffer, 0.9, 1.1)  # the residual convolutions start at zero otherwise
    network = (port(ours.state_dict()) if name == "transformers" else ours).to(device)
    if name == "transformers":
        del ours
    torch.manual_seed(1)  # building the library's network drew numbers as well
    src = torch.rand(1, 3, height, width)
    trimap = (torch.rand(1, 1, height // 16 + 1, width // 16 + 1) * 3).floor() / 2
    trimap = torch.nn.functional.interpolate(trimap, (height, width), mode="nearest")

    def forward() -> torch.Tensor:
        if name == "capmat":
            return network(src.to(device), trimap.to(device))["pha"].cpu()
        x = torch.cat([imagenet(src.to(device)), trimap.to(device)], 1)
        x = pad_to(x, padded_size((height, width), 32, "minimal"))
        return network(x).alphas[..., :height, :width].cpu()

    times = []
    with torch.inference_mode():
        for _ in range(4 if height * width < _SMALL else 1):
            start = time.perf_counter()
            pha = forward()
            times.append(time.perf_counter() - start)
    torch.save(pha, out)
    peak = (
        torch.cuda.max_memory_allocated() / 2**20
        if device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    return {"seconds": min(times), "peak_mib": peak}


def spawn(name: str, size: str, args: argparse.Namespace, out: Path) -> dict[str, float] | None:
    """One measurement in a process of its own; None if it did not fit into memory."""
    limit = free_memory()
    words = ["--one", name, size, str(out), "--threads", str(args.threads), "--device", args.device]

    def restrict() -> None:
        if args.device == "cpu":
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    done = subprocess.run(
        [sys.executable, __file__, *words], capture_output=True, text=True, preexec_fn=restrict, check=False
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    reason = done.stderr.strip().splitlines()[-1]
    if any(words in reason for words in ("allocate memory", "enough memory", "out of memory", "MemoryError")):
        print(f"{name} at {size} does not fit into {limit / 2**30:.0f} GiB: {reason}", file=sys.stderr, flush=True)
        return None
    sys.exit(done.stderr)


def free_memory() -> int:
    """Bytes that a process may take without swapping."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    if not found:
        sys.exit("this system does not say how much memory is free (/proc/meminfo)")
    return int(found[1]) * 1024


def main() -> None:
    """Print one table row per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--size", action="append", help="width x height; may be repeated")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        width, height = map(int, args.one[1].split("x"))
        print(json.dumps(measure(args.one[0], height, width, args.threads, args.device, Path(args.one[2]))))
        return
    import torch

    print("| size | transformers s | capmat s | x as fast | transformers MiB | capmat MiB | of its memory | alpha |")
    print("|---|---|---|---|---|---|---|---|")
    for size in args.size or ["512x512", "1024x1024", "1536x1536", "2664x2304"]:
        width, height = map(int, size.split("x"))
        rounds = args.rounds if width * height < _SMALL else 1
        with tempfile.TemporaryDirectory() as folder:
            seen: dict[str, list[dict[str, float] | None]] = {name: [] for name in NAMES}
            for _ in range(rounds):
                for name in NAMES:
                    seen[name].append(spawn(name, size, args, Path(folder) / name))
            t, c = (
                {key: statistics.median(r[key] for r in runs if r) for key in ("seconds", "peak_mib")}
                if all(runs)
                else None
                for runs in seen.values()
            )
            assert c
            if t:
                off = (torch.load(Path(folder) / "transformers") - torch.load(Path(folder) / "capmat")).abs().max()
                print(
                    f"| {size} | {t['seconds']:.2f} | {c['seconds']:.2f} | {t['seconds'] / c['seconds']:.2f} "
                    f"| {t['peak_mib']:.0f} | {c['peak_mib']:.0f} | {c['peak_mib'] / t['peak_mib']:.2f} | {off:.0e} |"
                )
            else:
                print(f"| {size} | - | {c['seconds']:.2f} | - | more than is free | {c['peak_mib']:.0f} | - | - |")


if __name__ == "__main__":
    main()

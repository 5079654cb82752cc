"""Forward time and peak memory of the networks: `python benchmarks/networks.py [--threads 2] [--full]`.

Every row runs in a process of its own, so that peak memory is that of one network. The median of several runs
after a warm-up is printed, with the hardware, resolution, dtype and batch that belong to it.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

SMALL = [("bg_vitmatte_xs", 288, 224), ("bgmv2_mobilenetv2_xs", 288, 224), ("diffmatte_xs", 288, 224)]
FULL = [
    ("bg_vitmatte_s", 512, 512),
    ("bgmv2_mobilenetv2", 720, 1280),
    ("bgmv2_mobilenetv2", 1080, 1920),
    ("diffmatte_vits", 512, 512),
]


def measure(name: str, height: int, width: int, threads: int, runs: int) -> dict[str, float]:
    """Seconds per frame (median) and peak memory of this process, in MiB, float32, batch 1, random weights."""
    import torch

    from capmat_models import create_model

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = create_model(name).eval()
    src = torch.rand(1, 3, height, width)
    second = (torch.rand(1, 1, height, width) * 3).floor() / 2 if "diffmatte" in name else torch.rand_like(src)
    times = []
    with torch.inference_mode():
        for _ in range(runs + 1):
            start = time.perf_counter()
            network(src, second)
            times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(times[1:]), "peak_mib": peak}


def main() -> None:
    """Print one table row per network and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="the published sizes as well")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, height, width = args.one
        print(json.dumps(measure(name, int(height), int(width), args.threads, args.runs)))
        return
    print("| network | size | threads | s/frame | peak MiB |\n|---|---|---|---|---|")
    for name, height, width in SMALL + (FULL if args.full else []):
        words = ["--one", name, str(height), str(width), "--threads", str(args.threads), "--runs", str(args.runs)]
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        print(
            f"| {name} | {width}x{height} | {args.threads} | {row['seconds']:.3f} | {row['peak_mib']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

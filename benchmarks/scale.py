"""From measured figures to a take, a day and an archive: the arithmetic of docs/scale.md.

    python -m benchmarks.scale [--student 152]

Nothing runs here but list scheduling. Figures of this file are measured and say where they stand; every line that is
printed is computed from them. With --student (frames per second of a worker, see `capmat bench student`) the tables
are those of another machine.
"""

import argparse

from tasks.night.parts import makespan

CAMERAS, FPS, SECONDS = 40, 75, 10
GROUP = 6  # cameras of one task (`cameras_per_task`)
STUDENT = 1 / 0.345  # frames/s, 2664x2304: docs/performance.md, two cores, float32, without reading and writing
TEACHER = 1 / 91.14  # the same for the published ViTMatte-S
# Per frame of a mosaic of 5328x4608, compressed; a modelled sensor's noise, not a real camera's.
BYTES = {"pictures": 27.2e6, "previews": 0.54e6, "mattes": 0.363e6}
DISK = 0.78e9  # bytes/s, one virtual disk, reading, bypassing the cache
ARCHIVES = {"a take of 10 s": 1, "a day of 60 takes": 60, "an archive of 10,000 takes": 10_000}
WORKERS = (1, 2, 4, 8, 16, 32, 64)


def tasks(takes: int, group: int, rate: float, every: int = 1) -> list[float]:
    """Seconds of every matting task: so many cameras of one take, every n-th frame."""
    frames = -(-FPS * SECONDS // every)
    sizes = [min(group, CAMERAS - start) for start in range(0, CAMERAS, group)]
    return [size * frames / rate for size in sizes] * takes


def said(number: float) -> str:
    """Three digits, without exponents."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", type=float, default=STUDENT, help="frames/s of one worker (default: measured)")
    rate = parser.parse_args().student
    frames = CAMERAS * FPS * SECONDS
    print(f"{CAMERAS} cameras, {FPS} frames/s, {SECONDS} s: {frames} frames a take")
    print(f"\n| | frames | {' | '.join(f'{kind}, TB' for kind in BYTES)} | read once by one disk, hours |")
    print(f"|{'---|' * (len(BYTES) + 3)}")
    for name, takes in ARCHIVES.items():
        cells = [said(takes * frames * size / 1e12) for size in BYTES.values()]
        hours = takes * frames * BYTES["pictures"] / DISK / 3600
        print(f"| {name} | {takes * frames:,} | {' | '.join(cells)} | {said(hours)} |")
    print(f"\nStudent, {rate:.3g} frames/s a worker; hours with so many workers")
    print(f"\n| | cameras a task | {' | '.join(map(str, WORKERS))} |\n|{'---|' * (len(WORKERS) + 2)}")
    for name, takes in ARCHIVES.items():
        for group in (GROUP, 1):
            hours = [makespan(tasks(takes, group, rate), workers) / 3600 for workers in WORKERS]
            print(f"| {name} | {group} | {' | '.join(said(hour) for hour in hours)} |")
    print(
        f"\nBytes that the pictures take a second at that rate: {said(rate * BYTES['pictures'] / 1e6)} MB a worker;"
    )
    print(f"one disk of {DISK / 1e9:.2g} GB/s feeds {DISK / BYTES['pictures'] / rate:.3g} workers")
    print(f"\nTeacher on every n-th frame of one take, {TEACHER:.3g} frames/s a worker; hours with one worker and 64")
    for every in (1, 75, 750):
        one, many = (makespan(tasks(1, 1, TEACHER, every), workers) / 3600 for workers in (1, 64))
        print(f"n = {every}: {one:.3g}, {many:.3g}")


if __name__ == "__main__":
    main()

"""`capmat hull`, `capmat scene` and `capmat reconstruct`: from mattes to space."""

from argparse import Namespace
from pathlib import Path

from capmat_errors import ConfigError, NotFound
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.models.networks import Run, champion
from tasks.runtime.progress import Progress


def hull(config: Config, args: Namespace) -> None:
    """Write the visual hull of a frame, and say where and how large it is."""
    from tasks.geometry.hull import hull as run

    mattes = args.run or Run("student", champion(config.store, "student")).name
    done = run(
        config.store,
        args.take,
        mattes,
        args.out,
        config.reconstruction,
        args.frame,
        resolution=args.resolution,
        points=args.points,
    )
    size = " x ".join(f"{high - low:.2f}" for low, high in zip(done["low"], done["high"], strict=True))
    print(f"{args.out}: frame {done['frame']} of {done['cameras']} cameras with {mattes}")
    print(f"{size} m, {done['volume'] * 1000:.0f} litres, {done['vertices']} points, {done['faces']} triangles")


def reconstruct(config: Config, args: Namespace) -> None:
    """Run the flow on this folder's server, and print what it found."""
    from flows.reconstruct import reconstruct as flow

    done = flow(config, args.base_run, args.refined_run)
    if not done:
        print("nothing to compare yet: only the base student was ever judged; run capmat redistill first")
        return
    print(f"{done['backend']}, {done['iterations']} iterations, resolution {done['resolution']}, "
          f"{done['background']} background, held out {', '.join(done['held_out'])}")  # fmt: skip
    print(f"against the {done['reference']}; a black image: {done['black']:.2f} dB")
    for name in ("base", "refined"):
        row = done[name]
        print(f"{name:8} {row['psnr']:.2f} dB, foreground {row['psnr_foreground']:.2f} dB, SSIM {row['ssim']:.4f}"
              + (", collapsed" if row["collapsed"] else ""))  # fmt: skip


def scene(config: Config, args: Namespace) -> None:
    """Write frames as folders that Nerfstudio and COLMAP's readers open; folders that are there are replaced."""
    from storage.export.scene import export_frame
    from tasks.geometry.hull import box_of
    from tasks.geometry.reconstruct import held_out

    take = Take.open(Root(config.store), args.take)
    run = args.run or Run("student", champion(config.store, "student")).name
    frames = [frame for frame in take.frames if args.frames is None or frame in args.frames]
    if not frames:
        raise NotFound("none of these frames is in the take", where=f"take {take.name}", fix="Check --frames.")
    if "://" in args.out:
        raise ConfigError("Nerfstudio reads folders of this machine", where=args.out, fix="Name a folder.")
    train, test = held_out(list(take.cameras), config.reconstruction)
    centre, size = box_of(take.cameras.values(), config.reconstruction)
    bar = Progress(f"export {take.name} {run}", len(frames))
    for number, frame in enumerate(frames, 1):
        place = Path(args.out) / f"{frame:04d}"
        export_frame(place, take, frame, run, train=train, test=test, box_centre=centre.tolist(), box_size=size)
        bar(number, str(place))
    print(f"{len(frames)} frames of {len(train)} cameras, {len(test)} held out ({', '.join(test)}), in {args.out}")

"""`capmat hull`, `scene` and `reconstruct`: from mattes to space."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from capmat_errors import ConfigError, NotFound
from flows.command.arguments import FRAMES, RUN, add_take, frames, given, positive, settings, whole
from storage.descriptor import read_session
from storage.export.scene import export_frame
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.show.figures import counted


def _hull_options(parser: ArgumentParser) -> None:
    add_take(parser, "an ingested take")
    parser.add_argument("--run", help=RUN)
    parser.add_argument("--frame", type=whole, help="frame number (default: the middle frame)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .ply or .glb file, in metres "
                        "if the session states the unit of its calibration")  # fmt: skip
    parser.add_argument("--resolution", type=positive, default=256, help="voxels along the box (default: 256)")
    parser.add_argument("--points", action="store_true", help="write points without triangles")


def hull(args: Namespace) -> None:
    """Write the visual hull of a frame, and print where it is and how large."""
    from tasks.geometry.hull import hull as write_hull
    from tasks.models.networks import find_run

    config = settings(args)
    run = find_run(config.store, args.run or "", config.teacher.tile)
    done = write_hull(
        config.store,
        args.take,
        run,
        args.out,
        config.reconstruction,
        args.frame,
        resolution=args.resolution,
        points=args.points,
    )
    size = " x ".join(f"{high - low:.2f}" for low, high in zip(done["low"], done["high"], strict=True))
    print(f"{args.out}: frame {done['frame']} of {done['cameras']} cameras with {run}")
    lengths = f"{size} m, {done['volume'] * 1000:.0f} litres"
    if not done["unit"]:
        lengths = f"{size} in the calibration's own unit, which the session did not state"
    print(f"{lengths}, {done['vertices']} points, {done['faces']} triangles")
    for camera, share in done["described"].items():
        if share < 1:
            print(f"camera {camera}: its lens model describes {share:.0%} of the picture; only that part was used")


def _scene_options(parser: ArgumentParser) -> None:
    add_take(parser, "an ingested take")
    parser.add_argument("--run", help=RUN)
    parser.add_argument("--frames", type=frames, metavar=FRAMES, help="such as 10-250:2 (default: all)")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="receives one folder for each frame")


def scene(args: Namespace) -> None:
    """Write frames as folders that Nerfstudio and COLMAP's readers open; existing folders are replaced."""
    from tasks.geometry.box import box_of
    from tasks.geometry.reconstruct import held_out
    from tasks.models.networks import find_run
    from tasks.runtime.progress import Progress

    config = settings(args)
    take = Take.open(Root(config.store), args.take)
    run = find_run(config.store, args.run or "", config.teacher.tile)
    chosen = [frame for frame in take.frames if args.frames is None or frame in args.frames]
    if not chosen:
        raise NotFound("the take has none of these frames", where=f"take {take.name}", fix="Check --frames.")
    if "://" in args.out:
        raise ConfigError("Nerfstudio reads only folders of this machine", where=args.out, fix="Name a folder.")
    train, test = held_out(list(take.cameras), config.reconstruction)
    centre, size = box_of(take.cameras.values(), config.reconstruction)
    bar = Progress(f"export {take.name} {run}", len(chosen), "frames")
    for number, frame in enumerate(chosen, 1):
        folder = Path(args.out) / f"{frame:04d}"
        export_frame(folder, take, frame, run, train=train, test=test, box_centre=centre.tolist(), box_size=size)
        bar(number, str(folder))
    frames_of = f"{counted(len(chosen), 'frame')} of {counted(len(train), 'camera')}"
    print(f"{frames_of}, {len(test)} held out ({', '.join(test)}), in {args.out}")


def _reconstruct_options(parser: ArgumentParser) -> None:
    parser.add_argument("base_run", nargs="?", default="", help="first alpha run, or its model, such as "
                        "student@v0001 (default: the newest verdict's champion)")  # fmt: skip
    parser.add_argument("refined_run", nargs="?", default="", help="second alpha run (default: its challenger)")
    parser.add_argument("--install", nargs="?", type=Path, const=Path(".capmat/nerfstudio"), metavar="FOLDER",
                        help="only install Nerfstudio's own environment there, 7.6 GB (default: .capmat/nerfstudio, "
                        "where capmat looks for it)")  # fmt: skip


def reconstruct(args: Namespace) -> None:
    """Compare two alpha runs by radiance fields of one frame, and print the scores."""
    if args.install:
        from tasks.geometry.nerfstudio.install import install

        print(install(args.install))
        return
    if bool(args.base_run) != bool(args.refined_run):
        raise ConfigError("the comparison needs two alpha runs", where="capmat reconstruct", fix="Name both or none.")
    from flows.command.runs import check_before, running
    from tasks.models.networks import find_run

    config = settings(args)
    check_before(config)
    pair = [find_run(config.store, run, config.teacher.tile) for run in (args.base_run, args.refined_run) if run]
    _check_runs(config, *pair)
    with running(config):
        from flows.reconstruct import reconstruct as flow

        done = flow(*pair, **given(args))
    if not done:
        print("only the base student was ever judged, so two models to compare are missing; run capmat redistill")
        return
    print(f"{done['backend']}, {done['iterations']} iterations, resolution {done['resolution']}, "
          f"{done['background']} background, held out {', '.join(done['held_out'])}")  # fmt: skip
    print(f"against the {done['reference']}; a black image: {done['black']:.2f} dB")
    for name in ("base", "refined"):
        row = done[name]
        print(f"{name:8} {row['psnr']:.2f} dB, foreground {row['psnr_foreground']:.2f} dB, SSIM {row['ssim']:.4f}"
              + (", collapsed" if row["collapsed"] else ""))  # fmt: skip


def _check_runs(config: Config, *runs: str) -> None:
    """Refuse runs that the take which the flow will choose does not have."""
    session = read_session(config.session)
    name = session.benchmark.take if session.benchmark else next(iter(session.takes))
    for run in runs:
        Take.open(Root(config.store), name).run_info(run)


WORDS = {
    "hull": (_hull_options, hull, """
        capmat hull cedar --out hull.ply                         # of the middle frame
        capmat hull cedar --frame 12 --resolution 512 --out hull.glb
        capmat hull cedar --run teacher --points --out hull.ply  # points without triangles
    """),
    "scene": (_scene_options, scene, """
        capmat scene cedar --out scenes                          # all frames
        capmat scene cedar --frames 10-250:10 --out scenes
        capmat scene cedar --run teacher --out scenes            # with the mattes of the teacher in use
    """),
    "reconstruct": (_reconstruct_options, reconstruct, """
        capmat reconstruct                                       # the two students of the newest verdict
        capmat reconstruct student@v0001 student@v0002           # these two
        capmat reconstruct --install                             # Nerfstudio's own environment, 7.6 GB
    """),
}  # fmt: skip

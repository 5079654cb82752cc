"""The student on a fixed rig: what depends on a camera's plate alone is computed once.

A stage's cameras do not move, so half of the student's input never changes. A `Rig` keeps, per camera, the
plate at every size the network needs, already in its place in buffers that live as long as the rig; a frame
only fills in the rest. Everything is channels-last with the norms folded, cells to refine are cut out as whole
rows of eight pixels, and their number is fixed, so nothing waits for the host, and on a GPU the whole step is one
CUDA graph. The matte equals that of the network (`BGMV2.forward`) up to rounding, about 1e-5 in float32.

After the first ReLU image and plate are mixed, so nothing else can be kept. The two layers that see the plate
before (the first convolution, and the last of the decoder through its skip) could be split by channel. That would
save 2 % of the arithmetic and cost a pass over memory each, so it does not pay.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from capmat_errors import SizeMismatch
from capmat_models.inference.folding import fold_norms
from capmat_models.networks.inputs import enlarged, pad_to, padded_size, reduced
from capmat_models.networks.refiner import CELL, Cells, resize

if TYPE_CHECKING:
    from capmat_models.networks.bgmv2 import BGMV2

_WINDOW = 8  # pixels on a side of what a cell sees, at half and at full resolution
_BAND = 2**20  # elements of a band
_CHUNK = 1000  # cells refined at once on a CPU: what they need stays in its last-level cache


class Rig:
    """The student with the plates of some cameras of one size.

    Args:
        model: weights and settings (`refine_mode`, `backbone_scale`, ...); copied, so later changes to it do
            not show.
        plates: (C,3,H,W) display-referred RGB, 0..1, one plate per camera. Any H and W.
        device: where to run.
        dtype: float32, or float16 or bfloat16 on a GPU. In half precision the predicted error is coarse, so
            other cells may be refined than in float32.
        foreground: also make the foreground; alpha alone is cheaper.
    """

    def __init__(
        self,
        model: "BGMV2",
        plates: Tensor,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        foreground: bool = False,
    ) -> None:
        self.device, self.dtype, self.foreground = torch.device(device), dtype, foreground
        self.network = fold_norms(model).to(self.device, dtype).to(memory_format=torch.channels_last)
        self.shape = tuple(plates.shape)
        n, _, *frame = self.shape
        self.times = model.times(frame)
        self.size = padded_size([self.times * side for side in frame], CELL, "minimal")
        height, width = self.size
        self.half = (height // 2, width // 2)
        small = (max(1, int(height * model.backbone_scale)), max(1, int(width * model.backbone_scale)))
        hidden = model.config.hidden_channels

        def buffer(channels: int, rows: int, columns: int) -> Tensor:
            shape = (n, channels, rows, columns)
            return torch.zeros(shape, dtype=dtype, device=self.device).to(memory_format=torch.channels_last)

        # Buffers hold [frame, plate] with the zero borders that the refiner's unpadded convolutions want.
        self._small = buffer(6, *small)
        self._fine = buffer(6, height + 4, width + 4)
        self._wide = buffer(hidden + 4 + 6, self.half[0] + 6, self.half[1] + 6)
        _, bgr = self._prepared(plates)
        self._small[:, 3:] = resize(bgr, small)
        self._fine[:, 3:, 2:-2, 2:-2] = bgr
        self._wide[:, -3:, 3:-3, 3:-3] = resize(bgr, self.half)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._frames: Tensor | None = None
        self._made: dict[str, Tensor] = {}

    @torch.inference_mode()
    def matte(self, src: Tensor) -> dict[str, Tensor]:
        """Matte one frame of every camera.

        Args:
            src: (C,3,H,W) in the order of the plates; float 0..1, or uint8.

        Returns:
            `pha` (C,1,H,W) and, if asked for at the start, `fgr` (C,3,H,W), both 0..1 in the rig's dtype. On a
            GPU they are overwritten by the next call.

        Raises:
            SizeMismatch: the frames are not as many or not as large as the plates.
        """
        if tuple(src.shape) != self.shape:
            raise SizeMismatch(
                f"frames are {tuple(src.shape)}, the plates {self.shape}",
                fix="Give one frame per camera, in the order and at the size of the plates.",
            )
        if self.device.type != "cuda" or self.network.refine_mode == "thresholding":
            return self._step(src.to(self.device))
        if self._graph is None or self._frames is None or self._frames.dtype != src.dtype:
            self._record(src)
        assert self._graph is not None
        assert self._frames is not None
        self._frames.copy_(src, non_blocking=True)
        self._graph.replay()
        return self._made

    def stream(self, frames: Iterable[Tensor]) -> Iterator[dict[str, Tensor]]:
        """Matte a sequence; while one frame is computed, the next is read and copied to the GPU.

        Args:
            frames: as `matte` takes them, on the CPU; all of one dtype.

        Yields:
            As `matte`, on the CPU.
        """
        if self.device.type != "cuda":
            yield from (self.matte(src) for src in frames)
            return
        upload: Any = torch.cuda.Stream(self.device)
        pinned: list[Tensor] = []
        ready: list[tuple[Tensor, Any]] = []

        def send(index: int, src: Tensor) -> None:
            # two pinned buffers in turn; the copy out of the older one has ended by now
            if len(pinned) < 2:
                pinned.append(torch.empty(src.shape, dtype=src.dtype, pin_memory=True))
            buffer = pinned[index % 2]
            buffer.copy_(src)
            with torch.cuda.stream(upload):
                uploaded = buffer.to(self.device, non_blocking=True)
                ready.append((uploaded, upload.record_event()))

        for index, src in enumerate(frames):
            send(index, src)
            if len(ready) == 2:
                yield self._finish(*ready.pop(0))
        for uploaded, event in ready:
            yield self._finish(uploaded, event)

    def _finish(self, uploaded: Tensor, event: Any) -> dict[str, Tensor]:
        current: Any = torch.cuda.current_stream(self.device)
        current.wait_event(event)
        uploaded.record_stream(current)
        return {name: x.cpu() for name, x in self.matte(uploaded).items()}

    def _record(self, src: Tensor) -> None:
        """Run once to warm up, then record every kernel of a step into a CUDA graph."""
        self._frames = torch.empty(self.shape, dtype=src.dtype, device=self.device).copy_(src)
        aside: Any = torch.cuda.Stream(self.device)
        aside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(aside):
            for _ in range(3):
                self._step(self._frames)
        torch.cuda.current_stream(self.device).wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._made = self._step(self._frames)

    def _prepared(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures as numbers of 0..1, and the same as the network sees them."""
        rgb = rgb.to(self.device)
        scaled = rgb.to(self.dtype) / 255 if rgb.dtype == torch.uint8 else rgb.to(self.dtype)
        return scaled, pad_to(enlarged(scaled, self.times), self.size, mode="replicate")

    def _step(self, src: Tensor) -> dict[str, Tensor]:
        network = self.network
        frame, src = self._prepared(src)
        self._small[:, :3] = resize(src, self._small.shape[-2:])
        pha, res, err, hid = network.coarse(self._small)
        cells = network.choose(err, self.size)
        self._fine[:, :3, 2:-2, 2:-2] = src
        inside = self._wide[:, :, 3:-3, 3:-3]
        _enlarge_into(inside[:, :-6], torch.cat([hid, pha, res], 1))
        inside[:, -6:-3] = resize(src, self.half)
        if cells is None:
            out = network.refiner.convolve(self._wide, self._fine)
        else:
            coarse = torch.cat([pha, res], 1) if self.foreground else pha
            out = self._refined(resize(coarse, self.size), cells)
        out[:, :1].clamp_(0, 1)
        height, width = (self.times * side for side in self.shape[-2:])
        out = reduced(out[..., :height, :width], self.times)
        made = {"pha": out[:, :1]}
        if self.foreground:
            made["fgr"] = (frame + out[:, 1:]).clamp(0, 1)
        return made

    def _refined(self, out: Tensor, cells: Cells) -> Tensor:
        """Replace the chosen 4x4 cells of the upsampled coarse maps (N,1 or 4,H,W)."""
        channels = out.shape[1]
        n, height, width = len(out), *self.size
        grid = out.view(n, channels, height // CELL, CELL, width // CELL, CELL).permute(0, 2, 4, 1, 3, 5)
        step = _CHUNK if self.device.type == "cpu" else max(1, len(cells.image))
        for first in range(0, len(cells.image), step):
            some = Cells(*(x[first : first + step] for x in cells))
            # Half resolution: rows 2r-3 .. 2r+4 around cell r; full resolution: rows 4r-2 .. 4r+5.
            fresh = self.network.refiner.convolve(_windows(self._wide, some, 2), _windows(self._fine, some, CELL))
            at = (some.image, some.row, some.column)
            grid[at] = torch.where(some.wanted[:, None, None, None], fresh[:, :channels], grid[at])
        return out


def _enlarge_into(out: Tensor, x: Tensor) -> None:
    """Resize (N,C,h,w) bilinearly into a part of a buffer.

    On a CPU in bands of rows, whose copies stay in its cache; a row looks at no more than its two neighbours.
    """
    n, channels, height, width = x.shape
    times = out.shape[2] // height
    if out.device.type != "cpu" or tuple(out.shape[2:]) != (times * height, times * width):
        out.copy_(resize(x, out.shape[2:]))
        return
    rows = max(4, _BAND // (n * channels * width * times**2))
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        first, last = max(0, top - 1), min(height, bottom + 1)
        band = resize(x[:, :, first:last], (times * (last - first), times * width))
        out[:, :, times * top : times * bottom] = band[:, :, times * (top - first) : times * (bottom - first)]


def _windows(buffer: Tensor, cells: Cells, step: int) -> Tensor:
    """Cut an 8x8 window per cell out of a channels-last buffer (N,C,H,W) -> (K,C,8,8), channels-last.

    A window is eight runs of eight pixels that lie together in memory. Seen as rows that start every `step`
    pixels and overlap, the buffer can be indexed by run: a few large copies instead of many small ones, some
    ten times as fast as indexing by pixel.
    """
    n, channels, height, width = buffer.shape
    starts = width // step  # rows of a frame begin at multiples of step: width is one
    runs = buffer.permute(0, 2, 3, 1).as_strided(
        (n * height * starts - (_WINDOW // step - 1), _WINDOW * channels), (step * channels, 1)
    )
    top = cells.image * height + step * cells.row
    lines = top[:, None] + torch.arange(_WINDOW, device=buffer.device)
    picked = runs.index_select(0, (lines * starts + cells.column[:, None]).flatten())
    return picked.view(-1, _WINDOW, _WINDOW, channels).permute(0, 3, 1, 2)

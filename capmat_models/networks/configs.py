"""Sizes of every network that capmat knows, as frozen dataclasses, and their names.

The defaults are the published full sizes, so official checkpoints load into them. The `_xs` names are the
same classes with smaller numbers: they train and run on one CPU core in the demo. This module does not import
torch, so a command line lists and checks architectures at once.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """The plain vision transformer that ViTMatte and DiffMatte share (ViTMatte paper, section 3.2)."""

    embed_dim: int = 384
    """Width of a token."""
    depth: int = 12
    """Number of blocks."""
    num_heads: int = 6
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks that attend over the whole image and end in a convolution; the others attend inside windows."""
    window_size: int = 14
    """Side of an attention window in tokens."""
    image_size: int = 512
    """Side of the training crops: sets the length of the relative-position tables of the global blocks.
    DiffMatte's "1024" checkpoint needs 1024."""
    position_grid: int = 14
    """Side of the grid of absolute positions (14 for weights that started from ImageNet at 224 px)."""


@dataclass(frozen=True, kw_only=True)
class ViTMatteConfig(ViTConfig):
    """ViTMatte, with a trimap or with the empty stage as the second input."""

    guide: Literal["trimap", "background"] = "trimap"
    """What the second input is: one trimap channel, or the three channels of the plate (Bg-ViTMatte)."""
    detail_channels: tuple[int, ...] = (48, 96, 192)
    """Widths of the detail branch at 1/2, 1/4 and 1/8."""
    fusion_channels: tuple[int, ...] = (256, 128, 64, 32)
    """Widths of the decoder at 1/8, 1/4, 1/2 and 1/1."""
    padding: Literal["minimal", "official"] = "minimal"
    """How other sizes are padded to multiples of 32, see `padded_size`. Only parity tests need `official`."""
    double_below: int = 0
    """Frames with fewer pixels than a square of this side are doubled, see `SmallFrames`; 0 doubles none."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """What forward takes."""
        return ("src", "bgr" if self.guide == "background" else "trimap")


@dataclass(frozen=True, kw_only=True)
class BGMV2Config:
    """BackgroundMattingV2 with a MobileNetV2 encoder (Lin et al., CVPR 2021)."""

    inputs: ClassVar[tuple[str, ...]] = ("src", "bgr")
    encoder: str = "mobilenetv2_100"
    """A timm MobileNetV2; the name carries its width."""
    aspp_channels: int = 256
    decoder_channels: tuple[int, ...] = (128, 64, 48)
    """Widths of the decoder at 1/8, 1/4 and 1/2 of the backbone's size."""
    hidden_channels: int = 32
    """Features that the coarse network hands to the refiner."""
    refiner_channels: tuple[int, ...] = (24, 16, 12)
    double_below: int = 0
    """See `ViTMatteConfig.double_below`."""
    backbone_scale: float = 0.25
    """Size of the coarse network's input relative to the image. 0.25 for HD, 0.125 for 4K."""
    refine_mode: Literal["full", "sampling", "thresholding"] = "sampling"
    """Which 4x4 cells are refined: all, a number of the worst, or all above `refine_threshold`."""
    refine_share: float = 0.0
    """How many the worst are, as a share of the frame (0..1), so that it suits every size. 0 takes the number of
    the original, `refine_sample_pixels`."""
    refine_sample_pixels: int = 80_000
    """80 000 for HD, 320 000 for 4K (both about 4 % of the pixels)."""
    refine_threshold: float = 0.1
    prevent_oversampling: bool = True
    """Skip cells whose predicted error is zero, even if fewer are then refined."""


@dataclass(frozen=True, kw_only=True)
class DiffMatteConfig(ViTConfig):
    """DiffMatte: the ViT runs once, a small U-shaped decoder removes noise step by step."""

    inputs: ClassVar[tuple[str, ...]] = ("src", "trimap")
    down_channels: tuple[int, ...] = (32, 64, 128)
    """Widths of the decoder at 1/2, 1/4 and 1/8 on the way down; the way up mirrors them to 1/1."""
    mid_channels: int = 256
    time_channels: int = 32
    head_channels: int = 16
    double_below: int = 0
    """See `ViTMatteConfig.double_below`."""
    signal_scale: float = 0.2
    """Amplitude of the matte relative to the noise (b in the paper)."""
    padding: Literal["minimal", "official"] = "minimal"
    """See `ViTMatteConfig.padding`."""


@dataclass(frozen=True, kw_only=True)
class ClosedFormConfig:
    """Closed-form matting (Levin et al., CVPR 2006) as PyMatting solves it."""

    inputs: ClassVar[tuple[str, ...]] = ("src", "trimap")
    epsilon: float = 1e-7
    """How far colours may lie from the two lines of a window. More makes smoother mattes."""
    radius: int = 1
    """Of a window, in pixels."""


@dataclass(frozen=True, kw_only=True)
class MODNetConfig:
    """MODNet (Ke et al., AAAI 2022)."""

    inputs: ClassVar[tuple[str, ...]] = ("src",)
    working_side: int = 512
    """Shorter side of what the network sees, by the published rule, at least 32; 0 takes frames as they are."""


@dataclass(frozen=True, kw_only=True)
class RVMConfig:
    """Robust Video Matting with MobileNetV3 (Lin et al., WACV 2022)."""

    inputs: ClassVar[tuple[str, ...]] = ("src",)


@dataclass(frozen=True, kw_only=True)
class BGMConfig:
    """Background Matting (Sengupta et al., CVPR 2020)."""

    inputs: ClassVar[tuple[str, ...]] = ("src", "bgr", "mask")
    working_side: int = 512
    """Side of the square that the network sees, a multiple of 4, at least 16. The released weights were
    trained at 512."""


@dataclass(frozen=True)
class Architecture:
    """One name that `create_model` understands."""

    module: str
    network: str
    config: ViTMatteConfig | BGMV2Config | DiffMatteConfig | ClosedFormConfig | MODNetConfig | RVMConfig | BGMConfig
    role: str = field(default="")
    """Its part in the pipeline: teacher, student, supervisor, baseline (for comparison only), or empty."""
    recurrent: bool = False
    """Frames of a camera come in order: forward(src, state) also returns "state" for the next one."""
    rig: bool = False
    """`capmat_models.inference.rig.Rig` can run it, with all that depends on the plate alone computed once."""
    sampled: bool = False
    """The matte is drawn from noise: forward(src, trimap, steps, noise)."""
    package: str = ""
    """The package of a method without weights, whose version stands for theirs."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """What forward takes, in order: out of "src", "bgr" (plate), "trimap" and "mask" (a coarse alpha)."""
        return self.config.inputs


ARCHITECTURES: dict[str, Architecture] = {
    "vitmatte_s": Architecture("vitmatte", "ViTMatte", ViTMatteConfig()),
    "bg_vitmatte_s": Architecture("vitmatte", "ViTMatte", ViTMatteConfig(guide="background"), "teacher"),
    "bgmv2_mobilenetv2": Architecture("bgmv2", "BGMV2", BGMV2Config(), "student", rig=True),
    "diffmatte_vits": Architecture("diffmatte", "DiffMatte", DiffMatteConfig(), "supervisor", sampled=True),
    "bg_vitmatte_xs": Architecture(
        "vitmatte",
        "ViTMatte",
        ViTMatteConfig(
            guide="background",
            # 28x36 tokens at 448x576, so a window of 8 splits the frame into twenty.
            embed_dim=128,
            depth=6,
            num_heads=4,
            global_blocks=(2, 5),
            window_size=8,
            image_size=256,
            position_grid=8,
            detail_channels=(16, 32, 64),
            fusion_channels=(64, 48, 32, 16),
            double_below=448,
        ),
        "teacher",
    ),
    "bgmv2_mobilenetv2_xs": Architecture(
        "bgmv2",
        "BGMV2",
        BGMV2Config(
            encoder="mobilenetv2_050",
            aspp_channels=64,
            decoder_channels=(64, 48, 32),
            hidden_channels=16,
            refiner_channels=(16, 12, 8),
            double_below=448,
            backbone_scale=0.75,
            refine_share=0.2,
        ),
        "student",
        rig=True,
    ),
    "diffmatte_xs": Architecture(
        "diffmatte",
        "DiffMatte",
        DiffMatteConfig(
            embed_dim=128,
            depth=4,
            num_heads=4,
            global_blocks=(1, 3),
            window_size=8,
            image_size=256,
            position_grid=8,
            down_channels=(16, 32, 48),
            mid_channels=64,
            double_below=448,
        ),
        "supervisor",
        sampled=True,
    ),
    "closed_form": Architecture("closed_form", "ClosedForm", ClosedFormConfig(), "supervisor", package="pymatting"),
    "modnet": Architecture("modnet", "MODNet", MODNetConfig(), "baseline"),
    "rvm_mobilenetv3": Architecture("rvm", "RVM", RVMConfig(), "baseline", recurrent=True),
    "bgm": Architecture("bgm", "BGM", BGMConfig(), "baseline"),
}

UNAVAILABLE: dict[str, tuple[str, str]] = {
    "bimatting": (
        "capmat has no BiMatting: its signs flip with the last bit of a sum, so another implementation cannot be "
        "checked against the published one",
        "Import a traced TorchScript of the published network: "
        "capmat models import FILE --as bimatting --contract recurrent.",
    ),
    "bg_damnet": (
        "nobody has released weights of Bg-DAMNet, the form of DAM-Net that takes a plate",
        "Compare with bgm or bgmv2_mobilenetv2, or train a network of your own and import it: "
        "capmat models import FILE --as bg_damnet --contract rgb+plate.",
    ),
}
"""Networks of the paper's Table 1 that cannot be built here: why, and what to do instead."""

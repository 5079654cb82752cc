"""Run by Nerfstudio's own Python: the rays that its data parser and its cameras make of an exported folder.

rays.py FOLDER; standard input: {camera: [[x, y], ...]} in pixels; standard output: for each split and camera the
origins and directions, the picture's file and the shape of what its data set loads.
"""

import json
import sys
from pathlib import Path

import torch
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset

asked = json.load(sys.stdin)
parser = NerfstudioDataParserConfig(
    data=Path(sys.argv[1]),
    orientation_method="none",
    center_method="none",
    auto_scale_poses=False,
    downscale_factor=1,
).setup()
found = {}
for split in ("train", "val", "test"):
    outputs = parser.get_dataparser_outputs(split)
    dataset = InputDataset(outputs)
    found[split] = {}
    for index, path in enumerate(outputs.image_filenames):
        x, y = torch.tensor(asked[path.stem]).unbind(1)
        rays = outputs.cameras.generate_rays(index, coords=torch.stack([y, x], 1))
        found[split][path.stem] = {
            "origins": rays.origins.tolist(),
            "directions": rays.directions.tolist(),
            "shape": list(dataset.get_image_float32(index).shape),
            "masked": outputs.mask_filenames is not None,
            "box": outputs.scene_box.aabb.tolist(),
        }
sys.stdout.write("\n" + json.dumps(found) + "\n")

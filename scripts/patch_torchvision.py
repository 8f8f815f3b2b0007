"""Make torchvision importable with a torch of another build (a CPU-only one): `python scripts/patch_torchvision.py`.

open_clip and timm import torchvision for its transforms and layers, which need no compiled operator; but torchvision's own
import asks for the names of two, and raises where its compiled library does not load. Then this declares the names, without
code, at the head of the installed package: its import passes, and calling one is still an error. Where the pair matches (as
from one index) nothing is changed.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

MARK = "# declared because the compiled operators do not load beside this torch\n"
NAMES = ("nms", "qnms")


def main() -> None:
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        sys.exit("torchvision is not installed")
    if subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False).returncode == 0:
        return
    lines = [MARK, "import torch\n", "_names = torch.library.Library('torchvision', 'FRAGMENT')\n"]
    lines += [f"_names.define('{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n" for name in NAMES]
    path = Path(spec.origin)
    path.write_text("".join(lines) + path.read_text(encoding="utf-8"), encoding="utf-8")
    subprocess.run([sys.executable, "-c", "import torchvision"], check=True)
    sys.stdout.write(f"{path}: two operators declared\n")


if __name__ == "__main__":
    main()

"""Convert the bundled model for OpenVINO, beside its published weights: run it whenever those change.

python training/convert_tiny.py
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from overtone.conversion.converter import export
from overtone.models import checkpoints
from overtone.models.converted import made_in
from overtone.models.file_digests import sha256


def main() -> None:
    """Export, and put the converted files where the model is."""
    tiny = checkpoints.find("tiny")
    with tempfile.TemporaryDirectory() as temporary:
        export(tiny, Path(temporary), sha256(tiny.weights), strict=True)
        for name in (*made_in(Path(temporary)), checkpoints.CONVERTED):
            shutil.copyfile(Path(temporary) / name, tiny.folder / name)


if __name__ == "__main__":
    main()

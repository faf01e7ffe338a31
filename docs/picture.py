"""Draw the pictures of the documents, all of drawn faces.

    python docs/picture.py [DEMO]

The picture of README.md is docs/preface.png. DEMO is the folder demo/drawn that `make demo` leaves: of its run are
docs/pictures-*.png.
"""

import runpy
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from preface_hf.pictures import tubes_picture
from preface_hf.synthetic import draw_clip


DOCS = Path(__file__).parent
SHOWN = ("neighbors.png", "attention.png", "features.png")


def main(demo: str | None = None) -> None:
    """Write the pictures."""
    clip = draw_clip(3, "happiness", 4, num_frames=48, size=224)
    picture = tubes_picture(clip.frames, clip.landmarks, clip.fps)
    ImageOps.posterize(picture, 5).save(DOCS / "preface.png", optimize=True)  # half the bytes
    if demo:
        draw = runpy.run_path(str(DOCS.parent / "examples/pictures.py"))["main"]
        with tempfile.TemporaryDirectory() as folder:
            draw(f"{demo}/run", f"{demo}/prepared", folder, "expression")
            for name in SHOWN:
                # 256 colors: a third of the bytes.
                Image.open(Path(folder) / name).convert("RGB").quantize(256).save(
                    DOCS / f"pictures-{name}", optimize=True
                )


if __name__ == "__main__":
    main(*sys.argv[1:])

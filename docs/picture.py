"""Draw the picture of README.md: a drawn clip with its landmarks, and the tubes that follow its parts.

python docs/picture.py docs/preface.png
"""

import sys

from PIL import ImageOps

from preface_hf.pictures.tubes import tubes_picture
from preface_hf.synthetic import draw_clip


def main(file: str) -> None:
    """Write the picture."""
    clip = draw_clip(3, "happiness", 4, num_frames=48, size=224)
    picture = tubes_picture(clip.frames, clip.landmarks, clip.fps)
    ImageOps.posterize(picture, 5).save(file, optimize=True)  # half the bytes


if __name__ == "__main__":
    main(*sys.argv[1:])

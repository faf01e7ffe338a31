"""Fakes of the blend type: the inner face of somebody else, put onto the target's landmarks and blended in.

The donor acts what the target acts (a face swap keeps expression, speech and pose) before a camera, background and
light of their own; each frame is warped onto the target's landmarks and blended through the feathered convex hull of
them, matched in color or not. Beyond its soft edge a fake is the real clip of the same arguments, to the bit. Real
and fake frames are encoded once, by the same encoder and settings, and a fake is made of drawn frames, not of
decoded ones: what tells them apart is the blend, not the compression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from preface_hf.faces.landmarks import face_height
from preface_hf.synthetic.brush import hull
from preface_hf.synthetic.clip import Shot, SyntheticClip, finish, rehearse
from preface_hf.synthetic.shape import EXPRESSIONS


_STIFFNESS = 0.02  # how much bending counts beside missing a landmark; 0 would meet every landmark
_CELLS = 16  # the spline is evaluated this often across the pixels' box, and interpolated in between


def warp_places(places: np.ndarray, sources: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """For each of pixels `(n, 2)`, x and y, where in the other picture it comes from: `(n, 2)`.

    places: landmarks `(k, 2)` in the picture to make; sources: the same landmarks in the picture to take from.
    """
    if not len(pixels):
        return np.zeros((0, 2))
    # the spline is solved in units of the landmarks' box, so that its stiffness means the same at every size
    middle, scale = places.mean(axis=0), float(np.ptp(places, axis=0).max())
    knots = (places - middle) / scale
    weights = solve_spline(knots, sources)
    low, step = pixels.min(axis=0), np.ptp(pixels, axis=0).clip(1) / _CELLS
    # The spline at (_CELLS + 1)² points of a grid over the pixels; `sample` reads it in between.
    cells = np.arange(_CELLS + 1)
    grid = np.stack(np.meshgrid(cells, cells), axis=-1).reshape(-1, 2)
    points = (low + grid * step - middle) / scale
    values = np.concatenate([bending(points, knots), np.ones((len(points), 1)), points], axis=1) @ weights
    return sample(values.reshape(_CELLS + 1, _CELLS + 1, 2), (pixels - low) / step)


def sample(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Pixels `(n, channels)` of a picture `(height, width, channels)` at places `(n, 2)`, bilinear; beyond
    the border the edge is repeated."""
    height, width = picture.shape[:2]
    places = places.clip(0, [width - 1, height - 1])
    corner = places.astype(int).clip(0, [max(width - 2, 0), max(height - 2, 0)])
    # Share of the right and of the lower neighbor, `(n, 1)` each.
    # In a picture one pixel wide a pixel is its own neighbor.
    fx, fy = (places - corner).astype(np.float32).T[..., None]
    (x, y), right, below = corner.T, int(width > 1), int(height > 1)
    top = picture[y, x] * (1 - fx) + picture[y, x + right] * fx
    return top * (1 - fy) + (picture[y + below, x] * (1 - fx) + picture[y + below, x + right] * fx) * fy


def solve_spline(knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights `(n + 3, 2)` of the stiff thin-plate spline through values `(n, 2)` at knots `(n, 2)`."""
    # The system of a thin plate: bending by the knots, then a constant and a plane, which do not bend.
    count = len(knots)
    system, targets = np.zeros((count + 3, count + 3)), np.zeros((count + 3, 2))
    system[:count, :count] = bending(knots, knots) + _STIFFNESS * np.eye(count)
    system[:count, count], system[:count, count + 1 :] = 1, knots
    system[count:, :count] = system[:count, count:].T
    targets[:count] = values
    return np.linalg.solve(system, targets)


def bending(points: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """The kernel r² log r² of a thin plate, `(n, k)`, between points `(n, 2)` and knots `(k, 2)`."""
    x, y = (points[:, None, axis] - knots[:, axis] for axis in (0, 1))
    squares = x * x + y * y  # (n, k): r²; the small number keeps log finite at a knot
    return squares * np.log(squares + 1e-12)


@dataclass(frozen=True)
class Blend:
    """How a face is blended in. feather: deviation of the hull's soft edge in face heights, by which it is drawn in
    too; shrink: how far it is drawn in to its middle beyond that (0 to 1); strength: share of the donor in the middle;
    matched: whether colors are matched.
    """

    shrink: float = 0.03
    feather: float = 0.05
    strength: float = 1.0
    matched: bool = True

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Blend:
        """A blend as good or bad as they come."""
        shrink, feather, strength = rng.uniform(0, 0.08), rng.uniform(0.015, 0.06), rng.uniform(0.85, 1)
        return cls(shrink, feather, strength, bool(rng.random() < 0.6))


def draw_fake(
    identity: int,
    donor: int,
    expression: str,
    seed: int,
    num_frames: int = 32,
    size: int = 128,
    fps: float = 25.0,
    *,
    sound: bool = False,
    parsing: bool = False,
    blend: Blend | None = None,
) -> SyntheticClip:
    """Draw the clip of `draw_clip` with the donor's inner face: the same arguments give the same bytes.

    Landmarks, pose and sound are the target's; the parsing map shows what the frames show. blend None draws one from
    the seed. Raises ValueError where donor is the identity itself or negative, else as `draw_clip`.
    """
    if donor == identity or donor < 0:
        raise ValueError(f"donor {donor} must be an integer from 0 and not the identity {identity} itself")
    rng, performance = rehearse(identity, expression, seed, num_frames, size, fps)
    shot = Shot.take(rng, identity, performance, size)
    # The donor's stream ends in 6 and the donor: it draws nothing from the target's.
    own = np.random.default_rng([seed, identity, EXPRESSIONS.index(expression), 6, donor])
    blend = blend or Blend.draw(own)
    # the same performance, so that both faces speak and turn alike, before the donor's own camera and light
    other = Shot.take(own, donor, performance, size)
    frames, maps = blended(shot, other, blend, parsing)
    return finish(shot, performance, frames, maps, (identity, expression, seed), fps, sound, donor)


def blended(shot: Shot, other: Shot, blend: Blend, parsing: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """The frames of a shot with the face of another of equal length and size, and their parsing maps if asked for."""
    (frames, maps), (faces, face_maps) = shot.develop(parsing), other.develop(parsing)
    size = frames.shape[1]
    masks = face_masks(shot.landmarks, size, blend)
    inside = masks > 0.004  # less changes a pixel by one step at most
    # argwhere gives row and column; the warp takes x and y
    pairs = zip(shot.landmarks, other.landmarks, inside, strict=True)
    places = [warp_places(mine, theirs, np.argwhere(where)[:, ::-1]) for mine, theirs, where in pairs]
    pixels = [sample(face, place) for face, place in zip(faces, places, strict=True)]
    if blend.matched:
        pixels = match_colors(pixels, [frame[where] for frame, where in zip(frames, inside, strict=True)])
    for frame, where, mask, new in zip(frames, inside, masks, pixels, strict=True):
        share = mask[where][:, None]
        frame[where] = (frame[where] * (1 - share) + new * share + 0.5).clip(0, 255).astype(np.uint8)
    if maps is not None and face_maps is not None:
        for labels, face_labels, where, mask, place in zip(maps, face_maps, inside, masks, places, strict=True):
            put_labels(labels, face_labels, where, mask, place)
    return frames, maps


def put_labels(
    labels: np.ndarray, face_labels: np.ndarray, where: np.ndarray, mask: np.ndarray, place: np.ndarray
) -> None:
    """The donor's labels, from `place` `(n, 2)`, into the pixels `where` of a map that show more donor than target."""
    x, y = np.rint(place).astype(int).clip(0, len(labels) - 1).T
    labels[where] = np.where(mask[where] > 0.5, face_labels[y, x], labels[where])


def face_masks(landmarks: np.ndarray, size: int, blend: Blend) -> np.ndarray:
    """Share of the donor's face in each pixel, float32 `(frames, size, size)` from 0 to the blend's strength: the
    convex hull of landmarks `(frames, 68, 2)`, drawn in and feathered."""
    radius = blend.feather * face_height(landmarks)
    masks = []
    for points in landmarks:
        inward = points.mean(axis=0) - points
        far = np.linalg.norm(inward, axis=1, keepdims=True).clip(1e-6)
        inner = points + inward * (blend.shrink + radius / far).clip(0, 0.9)
        outline = hull(inner) * 2 + 0.5  # drawn at twice the size
        mask = Image.new("L", (2 * size, 2 * size))
        ImageDraw.Draw(mask).polygon(outline.ravel().tolist(), fill=255)
        masks.append(np.asarray(mask.reduce(2).filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32))
    return np.stack(masks) * (blend.strength / 255)


def match_colors(pixels: list[np.ndarray], target: list[np.ndarray]) -> list[np.ndarray]:
    """Pixels `(n, 3)` of each frame, each channel on a curve that takes the clip's mean to the target's, or near.

    Both curves are of the whole clip, so nothing flickers.
    """
    # A power where the target is brighter, then a gain: both keep black black. Their limits keep eyes from glowing
    # and noise from showing.
    mine, theirs = (np.concatenate(frames).mean(axis=0).clip(4, 251) / 255 for frames in (pixels, target))
    gamma = (np.log(theirs) / np.log(mine)).clip(0.45, 1).astype(np.float32)
    toned = [255 * (frame / 255) ** gamma for frame in pixels]
    gain = (255 * theirs / np.concatenate(toned).mean(axis=0).clip(1)).clip(0, 1.4).astype(np.float32)
    return [frame * gain for frame in toned]

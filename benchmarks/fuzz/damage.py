"""Damage to the bytes of a file: each takes the bytes and a generator, and returns other bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


Damage = Callable[[bytes, np.random.Generator], bytes]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(len(data) * rng.random())]


def cut_a_little(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: -int(rng.integers(1, 200))]


def behead(data: bytes, rng: np.random.Generator) -> bytes:
    return data[int(len(data) * rng.random() / 2) :]


def span(data: bytes, rng: np.random.Generator, longest: int = 3000) -> tuple[int, int]:
    start = int(rng.integers(max(len(data), 1)))
    return start, min(len(data), start + int(rng.integers(1, longest)))


def zero(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = span(data, rng)
    return data[:start] + bytes(stop - start) + data[stop:]


def scramble(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = span(data, rng)
    return data[:start] + rng.bytes(stop - start) + data[stop:]


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped: a few or many, all over the file or within its first bytes."""
    changed, reach = bytearray(data), len(data) if rng.random() < 0.6 else min(len(data), 400)
    for place in rng.integers(reach, size=int(2 ** rng.uniform(0, 8))) if reach else ():
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def insert(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data) + 1))
    return data[:place] + rng.bytes(int(rng.integers(1, 500))) + data[place:]


def remove(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = span(data, rng, 800)
    return data[:start] + data[stop:]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = span(data, rng)
    return data[:stop] + data[start:]


def twice(data: bytes, rng: np.random.Generator) -> bytes:
    return data + data


def empty(data: bytes, rng: np.random.Generator) -> bytes:
    return b""


def noise(data: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(len(data))


def text(data: bytes, rng: np.random.Generator) -> bytes:
    return [b"<!DOCTYPE html><html>404</html>", b"version https://git-lfs.github.com/spec/v1\n", b"\0" * 5000][
        int(rng.integers(3))
    ]


DAMAGES: tuple[Damage, ...] = (
    cut, cut, cut_a_little, behead, zero, zero, scramble, flip, flip, flip, insert, remove, repeat, twice, empty,
    noise, text,
)  # fmt: skip
# Names in headers, and the distance from a name's first byte to its fields.
MP4_FIELDS = {
    b"mdhd": (12, 16, 20), b"mvhd": (16, 20), b"stts": (8, 12, 16), b"stsz": (8, 12, 16), b"stco": (8, 12, 16),
    b"stsc": (8, 12, 16, 20), b"ctts": (8, 12, 16), b"stss": (8, 12), b"elst": (8, 12, 16, 20), b"stsd": (8, 12),
    b"tkhd": (24, 44, 48, 52, 56, 60, 64, 68, 72, 80, 84), b"avc1": (-4, 28, 32), b"mp4v": (-4, 28, 32),
    b"avcC": (-4, 4, 8), b"mdat": (-4,), b"moov": (-4,), b"trak": (-4,), b"stbl": (-4,),
}  # fmt: skip
AVI_FIELDS = {
    b"avih": (4, 8, 12, 20, 24, 40, 44), b"strh": (4, 8, 12, 28, 32, 36, 40), b"strf": (4, 8, 12, 16, 20, 24),
    b"idx1": (4, 8, 12, 16, 20), b"movi": (-4,), b"hdrl": (-4,), b"00dc": (4,), b"RIFF": (4,),
}  # fmt: skip
EBML_IDS = (
    b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75",
    b"\x2a\xd7\xb1", b"\x23\xe3\x83", b"\x44\x89", b"\xb0", b"\xba", b"\xe0", b"\xae", b"\xe7", b"\xa3", b"\x86",
)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 255, 1000, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)


def patch(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three known fields of the header set to other numbers; flipped bits where none is known."""
    for _ in range(int(rng.integers(1, 4))):
        data = _patch_once(data, rng)
    return data


def _patch_once(data: bytes, rng: np.random.Generator) -> bytes:
    if data[:4] == EBML_IDS[0]:
        return _patch_ebml(data, rng)
    table, order = (AVI_FIELDS, "little") if data[:4] == b"RIFF" else (MP4_FIELDS, "big")
    names = [name for name in table if name in data]
    if not names:
        return flip(data, rng)
    name = names[int(rng.integers(len(names)))]
    place = data.index(name) + int(rng.choice(table[name]))
    old = int.from_bytes(data[place : place + 4], order)  # type: ignore[arg-type]
    new = int(rng.choice([*NUMBERS, max(old - 1, 0), min(old + 1, 2**32 - 1), old // 2, min(old * 2, 2**32 - 1)]))
    return data[:place] + new.to_bytes(4, order) + data[place + 4 :]  # type: ignore[arg-type]


def _patch_ebml(data: bytes, rng: np.random.Generator) -> bytes:
    """A byte after an element's id: of its size or of a small value."""
    known = [name for name in EBML_IDS if name in data]
    name = known[int(rng.integers(len(known)))]
    place = data.index(name) + len(name) + int(rng.integers(4))
    return data[:place] + bytes([int(rng.integers(256))]) + data[place + 1 :]

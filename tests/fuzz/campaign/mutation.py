"""Mutations of bytes: blind ones, and ones that know where a protocol keeps its lengths."""

import random
from collections.abc import Callable, Sequence

_TELLING = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x40000)
_TELLING_LONG = (*_TELLING, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_TEXTS = (b"../../../etc/passwd", b"%s%n%x", b"\x00" * 9, b"1." * 40, b"\xff\xfe", b"' OR 1=1 --")

Mutation = Callable[[bytearray, random.Random], None]


def mutated(content: bytes, chance: random.Random, *, most: int = 3) -> bytes:
    """Return the content changed in one to `most` places, and so different unless by chance."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, most)):
        chance.choice(MUTATIONS)(changed, chance)
    return bytes(changed)


def _flip_bit(content: bytearray, chance: random.Random) -> None:
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _replace_bytes(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        if content:
            content[chance.randrange(len(content))] = chance.randrange(256)


def _set_number(content: bytearray, chance: random.Random) -> None:
    """Put a telling number where a length may be, in either order of bytes."""
    size = chance.choice((1, 2, 4))
    if len(content) >= size:
        at = chance.randrange(len(content) - size + 1)
        number = chance.choice(_TELLING_LONG) % (1 << 8 * size)
        content[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))


def _nudge(content: bytearray, chance: random.Random) -> None:
    """Make a byte a little more or less, as a length that is off by one."""
    if content:
        at = chance.randrange(len(content))
        content[at] = (content[at] + chance.choice((-2, -1, 1, 2))) % 256


def _cut(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content) + 1) :]


def _remove(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content) + 1)
    del content[at : at + chance.randint(1, 64)]


def _insert(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content) + 1)
    content[at:at] = chance.choice((*_TEXTS, chance.randbytes(chance.randint(1, 64))))


def _overwrite(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content) + 1)
    text = chance.choice(_TEXTS)
    content[at : at + len(text)] = text


def _repeat(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content) + 1)
    piece = content[at : at + chance.randint(1, 256)]
    content[at:at] = piece * chance.randint(1, 4)


MUTATIONS: Sequence[Mutation] = (
    _flip_bit, _replace_bytes, _set_number, _set_number, _nudge, _cut, _remove, _insert,
    _overwrite, _repeat,
)  # fmt: skip

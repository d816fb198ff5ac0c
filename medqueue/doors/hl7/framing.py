"""The frames of MLLP: cuts a stream of bytes into messages, whatever their pieces and faults.

Minimal Lower Layer Protocol, release 1 (HL7 v2 Implementation Guide, Appendix C, section C.4): a
block is VT, the message, FS, CR. Neither VT nor FS may occur within, but both do: word processors
use VT as a line break, and senders break off and begin again.
"""

from dataclasses import dataclass
from enum import Enum, auto

from medqueue.doors.hl7.limits import Limits

VT, FS, CR, LF = 0x0B, 0x1C, 0x0D, 0x0A
_VT, _FS = b"\x0b", b"\x1c"
_HEADER = b"MSH"
_BETWEEN = b"\r\n\x00 \t"
"""Bytes outside of blocks that are no fault: line ends, and what keeps connections alive."""
_ENDS = frozenset({CR, LF, VT})
"""What follows an FS that ends a block; any other byte, and the FS belongs to the text."""


class GarbageError(Exception):
    """Too much has come that is no block; the connection is not one of an HL7 sender."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One block. `complete` is False when it was too large: then it is only its beginning."""

    content: bytes
    complete: bool = True


class _State(Enum):
    OUTSIDE = auto()
    INSIDE = auto()
    OVERSIZED = auto()


class Deframer:
    """Takes bytes as they come and gives messages. One for each connection."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._state = _State.OUTSIDE
        self._buffer = bytearray()
        self._searched = 0
        self._garbage = 0
        self._thrown_away = 0
        self.abandoned = 0
        """Messages that were broken off and begun again."""

    @property
    def inside(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._state is not _State.OUTSIDE

    @property
    def received(self) -> int:
        """Bytes of the message that is coming, kept or thrown away."""
        return len(self._buffer) + self._thrown_away if self.inside else 0

    @property
    def awaits_trailer(self) -> bool:
        """Whether the last byte was FS: only the next tells whether the message has ended."""
        return self.inside and self._buffer.endswith(_FS)

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the messages that they complete.

        Raises:
            GarbageError: more came outside of blocks, or of one message, than may be thrown away.
        """
        self._buffer += data
        frames: list[Frame] = []
        while self._buffer:
            if self._state is _State.OUTSIDE:
                if not self._skip_to_block():
                    break
                continue
            frame = self._take_block()
            if frame is None:
                break
            frames.append(frame)
        return frames

    def end(self) -> Frame | None:
        """Return the message whose FS was the last byte, when no trailer comes any more."""
        if not self.awaits_trailer:
            return None
        del self._buffer[-1]
        return self._finish(len(self._buffer), len(self._buffer))

    def _skip_to_block(self) -> bool:
        start = self._buffer.find(_VT)
        skipped = bytes(self._buffer[: start if start >= 0 else len(self._buffer)])
        self._garbage += len(skipped) - sum(map(skipped.count, _BETWEEN))
        del self._buffer[: len(skipped) + 1]
        if self._garbage > self._limits.garbage:
            raise GarbageError
        if start >= 0:
            self._state = _State.INSIDE
            self._searched = self._garbage = self._thrown_away = 0
        return start >= 0

    def _take_block(self) -> Frame | None:
        """Return the block if its end is in the buffer."""
        while True:
            self._restart_at_new_header()
            end = self._buffer.find(_FS, self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                self._bound()
                return None
            if end + 1 == len(self._buffer):
                self._searched = end
                return None
            following = self._buffer[end + 1]
            if following in _ENDS:
                # A VT begins the next block, so it stays.
                return self._finish(end, end + (1 if following == VT else 2))
            self._searched = end + 1

    def _restart_at_new_header(self) -> None:
        """Forget a message that was broken off: VT and MSH begin one, wherever they stand."""
        while True:
            # No further than the next FS, or a text full of them is searched once for each.
            ending = self._buffer.find(_FS, self._searched)
            until = len(self._buffer) if ending < 0 else ending
            start = max(0, self._searched - len(_HEADER))
            again = self._buffer.find(_VT + _HEADER, start, until)
            if again < 0:
                return
            del self._buffer[: again + 1]
            self._state = _State.INSIDE
            self._searched = self._thrown_away = 0
            self.abandoned += 1

    def _bound(self) -> None:
        """Keep no more of a message than its limit; of a larger one only the beginning."""
        if self._state is _State.INSIDE and len(self._buffer) > self._limits.message_length:
            self._state = _State.OVERSIZED
        if self._state is _State.OVERSIZED:
            kept = min(self._limits.garbage, len(self._buffer))
            self._thrown_away += len(self._buffer) - kept
            # The last bytes stay too, or a header cut in two would be missed.
            tail = bytes(self._buffer[-len(_HEADER) :])
            del self._buffer[kept - len(tail) :]
            self._buffer += tail
            self._searched = len(self._buffer)
            if self._thrown_away > self._limits.thrown_away:
                raise GarbageError

    def _finish(self, end: int, following: int) -> Frame:
        complete = self._state is _State.INSIDE and end <= self._limits.message_length
        kept = end if complete else min(end, self._limits.garbage)
        frame = Frame(bytes(self._buffer[:kept]), complete)
        del self._buffer[:following]
        self._state = _State.OUTSIDE
        self._searched = self._thrown_away = 0
        return frame

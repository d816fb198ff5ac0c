"""The limits of the DICOM door: what one peer, or all of them, may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes and times in seconds. Every one of them ends in an answer, never in a wait."""

    associations: int = 128
    """Established at once; the next is rejected as transient, so that its sender tries again."""
    connections: int = 128
    """That are no association yet, or no more. Beyond it the oldest is closed: a stranger that
    only opens connections cannot keep a sender out."""
    pdu_length: int = 256 * 1024
    """Announced as Maximum Length Received (PS3.8 section D.1). It is also the receive buffer of
    an association, so more of it costs memory, and less of it speed."""
    associate_length: int = 256 * 1024
    """Of an A-ASSOCIATE-RQ: 128 contexts with every transfer syntax come to some 200 KiB."""
    command_length: int = 16 * 1024
    """Of a command set, all fragments together; a C-STORE-RQ has about 200 bytes."""
    object_length: int = 16 * 1024**3
    """Of one data set. A whole slide image may have several GiB."""
    request_seconds: float = 10.0
    """ARTIM (PS3.8 section 9.1.5): from the connection to the A-ASSOCIATE-RQ, and from the last
    PDU to the end of the connection."""
    idle_seconds: float = 60.0
    """An association between two messages."""
    pdu_seconds: float = 15.0
    """From the first to the last byte of a PDU, beside what the least rate allows."""
    object_seconds: float = 60.0
    """From the first to the last byte of an object, beside what the least rate allows."""
    least_rate: float = 4096.0
    """Bytes a second. Slower than that is not a network but an attack."""
    send_seconds: float = 15.0
    """For a peer to take an answer of some hundred bytes."""

    def pdu_deadline(self, started: float, length: int) -> float:
        """Return by when a PDU must have arrived."""
        return started + self.pdu_seconds + length / self.least_rate

    def is_too_slow(self, seconds: float, received: int) -> bool:
        """Tell whether an object has come slower than any sender does."""
        return seconds > self.object_seconds + received / self.least_rate

"""The limits of the HL7 door: what one sender, or all of them, may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes and times in seconds."""

    connections: int = 512
    """At once. Beyond it the one that has been idle longest is closed: senders keep connections
    open for days, and open a new one when they need it."""
    message_length: int = 4 * 1024 * 1024
    """Of one message. The longest report text has 200,000 characters; what is larger holds
    pictures or documents. More of it costs memory for every connection."""
    thrown_away: int = 256 * 1024 * 1024
    """So much of an oversized message is read, and not kept, to answer it and go on with the next
    message. Beyond it the connection is closed."""
    garbage: int = 64 * 1024
    """Bytes outside of any block, in a row, until the connection is closed: no HL7 is coming."""
    separators: int = 50_000
    """In one message. Each field, and each component that is asked for, becomes a string of its
    own: a message of nothing but separators would cost fifty times its size in memory."""
    message_seconds: float = 30.0
    """From the first to the last byte of a message, beside what the least rate allows."""
    least_rate: float = 4096.0
    """Bytes a second. Slower than that is not a network but an attack."""
    trailer_seconds: float = 0.5
    """For the carriage return after the file separator. Some senders leave it out."""
    idle_seconds: float = 24 * 3600.0
    """Between two messages of a connection."""
    handshake_seconds: float = 10.0
    """For TLS to begin."""
    send_seconds: float = 15.0
    """For a sender to take an acknowledgement of some hundred bytes."""

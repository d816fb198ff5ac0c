"""Which presentation contexts the door accepts: SOP Classes and transfer syntaxes."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary

from medqueue.doors.dimse.associate import ContextAnswer, ContextResult, ProposedContext
from medqueue.errors import ConfigurationError
from medqueue.settings import Settings
from schemas.identifiers import is_uid

VERIFICATION = "1.2.840.10008.1.1"
"""Verification SOP Class (PS3.4 annex A)."""

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class (PS3.4 annex J)."""

INSTANCE_AVAILABILITY = "1.2.840.10008.5.1.4.33"
"""Instance Availability Notification SOP Class (PS3.4 annex R)."""

SERVICES = frozenset({VERIFICATION, STORAGE_COMMITMENT, INSTANCE_AVAILABILITY})
"""Classes of which there are no objects to store."""

_UNCOMPRESSED = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
"""Implicit and Explicit VR Little Endian: of data sets that we read and write ourselves."""

_STANDARD_ROOT = "1.2.840.10008."
"""Below it lies everything that the standard itself defines (PS3.5 section 9.1)."""

_STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
"""Below it lie the storage SOP Classes; one that is newer than our table is accepted too."""

_OTHER_STORAGE = frozenset(
    {
        "1.2.840.10008.5.1.1.27",  # Stored Print Storage, retired
        "1.2.840.10008.5.1.1.29",  # Hardcopy Grayscale Image Storage, retired
        "1.2.840.10008.5.1.1.30",  # Hardcopy Color Image Storage, retired
        "1.2.840.10008.5.1.4.34.1",  # RT Beams Delivery Instruction Storage - Trial, retired
        "1.2.840.10008.5.1.4.34.7",  # RT Beams Delivery Instruction Storage
        "1.2.840.10008.5.1.4.34.10",  # RT Brachy Application Setup Delivery Instruction Storage
    }
)
"""Storage SOP Classes of a patient elsewhere. Those without a patient belong to no study."""

_NEVER_STORED = frozenset(
    {
        "1.2.840.10008.1.2.6.2",  # XML Encoding: no data set as PS3.5 knows it
        "1.2.840.10008.1.2.7.1",  # SMPTE ST 2110: streams of PS3.22, not objects
        "1.2.840.10008.1.2.7.2",
        "1.2.840.10008.1.2.7.3",
    }
)

TRANSFER_SYNTAXES = (
    frozenset(uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax")
    - _NEVER_STORED
)
"""Everything that the standard has for objects: to store is not to decode."""


@dataclass(frozen=True, slots=True)
class PrivateSopClasses:
    """Those of vendors that a site takes; they are private as PS3.2 section 3.11.2 has it."""

    uids: frozenset[str] = frozenset()
    takes_any: bool = False

    def take(self, sop_class_uid: str) -> bool:
        """Tell whether objects of this SOP Class are taken."""
        return sop_class_uid in self.uids or (
            self.takes_any and not sop_class_uid.startswith(_STANDARD_ROOT)
        )


def read_private_sop_classes(settings: Settings) -> PrivateSopClasses:
    """Read the private SOP Classes of the settings.

    Raises:
        ConfigurationError: they are no UIDs, or not private.
    """
    text = (settings.private_sop_classes or "").strip()
    if text == "any":
        return PrivateSopClasses(takes_any=True)
    uids = frozenset(uid.strip() for uid in text.split(",")) if text else frozenset()
    if not all(is_uid(uid) and not uid.startswith(_STANDARD_ROOT) for uid in uids):
        raise ConfigurationError(
            "MEDQUEUE_PRIVATE_SOP_CLASSES: give UID,UID of private SOP Classes, or the word any; "
            f"those of the standard begin with {_STANDARD_ROOT}"
        )
    return PrivateSopClasses(uids)


def is_storage(sop_class_uid: str) -> bool:
    """Tell whether objects of this SOP Class of the standard are taken."""
    return sop_class_uid.startswith(_STORAGE_ROOT) or sop_class_uid in _OTHER_STORAGE


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """What both sides have agreed on under one identifier."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


def negotiate(
    contexts: Iterable[ProposedContext],
    private: PrivateSopClasses = PrivateSopClasses(),
) -> tuple[dict[int, AcceptedContext], list[ContextAnswer]]:
    """Return the contexts that we accept, and the answers to all (PS3.8 section 7.1.1.14).

    Of several transfer syntaxes the first that we take is chosen: the sender's own order says
    what it can do without transcoding.
    """
    accepted = {}
    answers = []
    for context in contexts:
        answer = _answer(context, private)
        answers.append(answer)
        if answer.result is ContextResult.ACCEPTANCE:
            accepted[context.id] = AcceptedContext(
                context.id, context.abstract_syntax, answer.transfer_syntax
            )
    return accepted, answers


def _answer(context: ProposedContext, private: PrivateSopClasses) -> ContextAnswer:
    uid = context.abstract_syntax
    if not (uid in SERVICES or is_storage(uid) or private.take(uid)):
        result = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
        return ContextAnswer(context.id, result, context.transfer_syntaxes[0])
    is_read = uid in {STORAGE_COMMITMENT, INSTANCE_AVAILABILITY}
    taken = _UNCOMPRESSED if is_read else TRANSFER_SYNTAXES
    for transfer_syntax in context.transfer_syntaxes:
        if transfer_syntax in taken:
            return ContextAnswer(context.id, ContextResult.ACCEPTANCE, transfer_syntax)
    result = ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
    return ContextAnswer(context.id, result, context.transfer_syntaxes[0])

"""Every error that medqueue raises on purpose: a stable code, and a message that names the cure."""

from typing import ClassVar


class MedqueueError(Exception):
    """Base of all errors here. `code` appears in results, HTTP problems and failure lists.

    A message never holds patient data or report text: it may be logged and shown.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ConfigurationError(MedqueueError):
    """A setting is wrong or unknown."""

    code = "configuration"


class UnavailableError(MedqueueError):
    """Something that medqueue needs is away for now; trying again later may help."""

    code = "unavailable"


class OutOfResourcesError(UnavailableError):
    """A door cannot accept now: the disk or the backlog is at its limit. The sender retries."""

    code = "out-of-resources"


class InstanceLostError(UnavailableError):
    """The file of an accepted object is gone or out of reach, such as on a share that is away."""

    code = "instance-lost"


class ArtifactLostError(UnavailableError):
    """A file between two stages is gone or broken; the stage before can make it again."""

    code = "artifact-lost"


class DecoderLostError(UnavailableError):
    """The process that decodes was killed from outside, or cannot be started."""

    code = "decoder-lost"


class RefusedInputError(MedqueueError):
    """A door can never accept this input. Subclasses say why."""

    code = "refused"


class NotDicomError(RefusedInputError):
    """The bytes cannot be understood as a DICOM data set."""

    code = "not-dicom"


class IdentityError(RefusedInputError):
    """A UID that the object must have is missing, malformed or contradicts the request."""

    code = "identity"


class TooLargeError(RefusedInputError):
    """The input is beyond the limit of the door."""

    code = "too-large"


class NotHl7Error(RefusedInputError):
    """The bytes cannot be understood as an HL7 v2 message, or lack a field that all must have."""

    code = "not-hl7"


class CharacterSetError(RefusedInputError):
    """The text is not in the character set that it says, or in one that is not known."""

    code = "character-set"


class UnsupportedMessageError(RefusedInputError):
    """The message or resource is of a kind that the door does not take."""

    code = "unsupported-message"


class NoTextError(RefusedInputError):
    """The message or resource holds no report text."""

    code = "no-text"


class MalformedRequestError(RefusedInputError):
    """The body of a request is not of the form that it announces."""

    code = "malformed-request"


class UnsupportedMediaError(RefusedInputError):
    """The body of a request is of a media type that this door does not take."""

    code = "unsupported-media"


class IdempotencyConflictError(RefusedInputError):
    """The same idempotency key or report id came before with other content."""

    code = "idempotency-conflict"


class NotFoundError(MedqueueError):
    """Nothing is known under this identifier."""

    code = "not-found"


class CursorError(MedqueueError):
    """The cursor is not one that the feed has handed out."""

    code = "cursor"


class SearchError(MedqueueError):
    """A parameter of a FHIR search is unknown or malformed."""

    code = "search"


class UnauthorizedError(MedqueueError):
    """The request has no token that is known."""

    code = "unauthorized"

    def __init__(self, detail: str, challenge: str) -> None:
        super().__init__(detail)
        self.headers = {"WWW-Authenticate": challenge}


class ForbiddenError(MedqueueError):
    """The caller is known, or needs not be, but may not do this."""

    code = "forbidden"


class TransitionError(MedqueueError):
    """The work is not in a state from which this may be done."""

    code = "transition"


class LeaseLostError(MedqueueError):
    """The lease ran out and the work belongs to someone else; nothing was written."""

    code = "lease-lost"


class WorkError(MedqueueError):
    """Work on one input failed for good: it ends as a `failed` result with this code."""

    code = "work"


class UndecodableError(WorkError):
    """The pixel data cannot be decoded."""

    code = "undecodable"


class UnsupportedInputError(WorkError):
    """The input is of a form that the model cannot take; it ends as `skipped`, not as `failed`."""

    code = "unsupported-input"


class NotAVolumeError(UnsupportedInputError):
    """The slices of a series are not one whole volume; it ends as `skipped`."""

    code = "not-a-volume"


class UnfitInputError(UnsupportedInputError):
    """The image is none that a model could be asked about, such as a blank or a test one."""

    code = "unfit-input"


class ForeignImageError(UnsupportedInputError):
    """The image is too far from those that the model was trained on; it ends as `skipped`."""

    code = "foreign-image"


class ModelError(WorkError):
    """A model failed on this input."""

    code = "model"


class PackageError(MedqueueError):
    """A model package is refused: its manifest, hash or format is wrong."""

    code = "package"


class TrainingDivergedError(MedqueueError):
    """The loss of a training is no finite number any more."""

    code = "training-diverged"


class DeliveryRefusedError(MedqueueError):
    """A destination will not have what it was sent; another try would end the same."""

    code = "delivery-refused"

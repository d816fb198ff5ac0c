"""One message from its bytes to its acknowledgement."""

from medqueue.doors.admission import Admission, Clock, utc_now
from medqueue.doors.hl7.acknowledgement import acknowledge, read_header
from medqueue.doors.hl7.framing import Frame
from medqueue.doors.hl7.kinds import Kind, require_kind
from medqueue.doors.hl7.limits import Limits
from medqueue.doors.hl7.message import Message
from medqueue.doors.hl7.orders import read_orders
from medqueue.doors.hl7.submissions import read_submissions
from medqueue.errors import MedqueueError, RefusedInputError, TooLargeError
from medqueue.logs import get_logger

SOURCE = "hl7"

_logger = get_logger(__name__)


class Intake:
    """Answers messages. Threads may share one."""

    def __init__(
        self, admission: Admission, *, default_codec: str, limits: Limits, clock: Clock = utc_now
    ) -> None:
        self._admission = admission
        self._default_codec = default_codec
        self._limits = limits
        self._clock = clock

    def answer(self, frame: Frame) -> bytes | None:
        """Admit the reports of a message and return the acknowledgement, if there is to be one.

        Of several reports in a message each is durable on its own. When one cannot be taken now,
        the sender sends all of them again, and those that are there already stay as they are.
        """
        header = read_header(frame.content)
        if header.is_acknowledgement:
            return None  # or two doors that face each other would never stop
        error: MedqueueError | None = None
        try:
            self._admit(frame)
        except RefusedInputError as refusal:
            self._admission.record_refusal(SOURCE, refusal)
            error = refusal
        except MedqueueError as failure:
            error = failure
        except Exception as fault:
            _logger.exception("message-failed")  # it stays with that message
            # The text of an unforeseen error may hold anything.
            error = MedqueueError(f"a fault of medqueue's own ({type(fault).__name__})")
        return acknowledge(header, now=self._clock(), error=error)

    def _admit(self, frame: Frame) -> None:
        if not frame.complete:
            raise TooLargeError(f"a message may have {self._limits.message_length} bytes")
        message = Message(frame.content, default_codec=self._default_codec, limits=self._limits)
        if require_kind(message.header) is Kind.ORDERS:
            for order in read_orders(message):
                self._admission.admit_order(order.submission, idempotency_key=order.key)
            return
        for one in read_submissions(message):
            self._admission.admit_report(
                one.submission,
                source=SOURCE,
                idempotency_key=one.key,
                documents=one.documents,
            )

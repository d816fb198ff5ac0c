"""What happens to the many errors and warnings that damaged DICOM data draws from libraries."""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.errors import InvalidDicomError

from medqueue.errors import UndecodableError

# pydicom parses a value when it is first asked for, so any of these may come from any attribute.
_DAMAGE = (
    AttributeError,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
)


@contextmanager
def damage_named(what: str) -> Iterator[None]:
    """Turn what libraries raise into an `UndecodableError`, and silence what they warn.

    Their words are not passed on: they quote values of the data set, which may be patient data,
    and both a result and a worker's stderr are read by people who must not see it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MemoryError as error:
        raise UndecodableError(f"{what}: a length in it is beyond all memory") from error
    except _DAMAGE as error:
        raise UndecodableError(f"{what}: {type(error).__name__}") from error
    except BaseException as error:
        # pylibjpeg-rle panics on a damaged segment table, and Rust's panics are outside Exception:
        # unnamed, one such file would end the worker.
        if type(error).__name__ != "PanicException":
            raise
        raise UndecodableError(f"{what}: its decoder gave up") from error

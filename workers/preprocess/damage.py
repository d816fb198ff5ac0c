"""What happens to the many errors and warnings that damaged DICOM data draws from libraries."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from medqueue.errors import MedqueueError, UndecodableError


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
    except MedqueueError:
        raise
    except MemoryError as error:
        raise UndecodableError(f"{what}: a length in it is beyond all memory") from error
    except Exception as error:
        # pydicom parses a value when it is first asked for, and hostile bytes make it raise any
        # type: a list of them was tried, and fuzzing found two more.
        raise UndecodableError(f"{what}: {type(error).__name__}") from error
    except BaseException as error:
        # pylibjpeg-rle panics on a damaged segment table, and Rust's panics are outside Exception:
        # unnamed, one such file would end the decoder.
        if type(error).__name__ != "PanicException":
            raise
        raise UndecodableError(f"{what}: its decoder gave up") from error

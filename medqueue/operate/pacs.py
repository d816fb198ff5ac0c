"""An archive that is asked by C-FIND and sends by C-MOVE (PS3.4 annex C), to our DICOM door."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as StudyRootFind,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelMove as StudyRootMove,
)

from medqueue.doors.dimse.reachable import CONNECT_SECONDS, require_listener
from medqueue.errors import UnavailableError
from medqueue.operate.archives import FoundStudy, OnObjects, Retrieved, Wanted
from schemas.identifiers import is_uid

_ANSWER_SECONDS = 600.0
"""Between two responses; some archives are silent until the last object is sent."""
_PENDING = frozenset({0xFF00, 0xFF01})


class Pacs:
    """A Query/Retrieve SCP with the Study Root model."""

    def __init__(
        self, host: str, port: int, *, ae_title: str, calling_ae: str, destination: str
    ) -> None:
        """Make an archive that is asked later.

        Args:
            host: where it listens.
            port: likewise.
            ae_title: its AE title.
            calling_ae: ours, as it knows us.
            destination: AE title of the door to which it is to send; it must know the address.
        """
        self._address = (host, port)
        self._ae_title = ae_title
        self._destination = destination
        self._entity = AE(ae_title=calling_ae)
        self._entity.connection_timeout = CONNECT_SECONDS
        self._entity.acse_timeout = CONNECT_SECONDS
        self._entity.dimse_timeout = self._entity.network_timeout = _ANSWER_SECONDS

    @property
    def name(self) -> str:
        """Its AE title."""
        return self._ae_title

    def find(self, wanted: Wanted) -> list[FoundStudy]:
        """Ask for the studies that match, and how many objects each has."""
        found: dict[str, FoundStudy] = {}
        with self._associate(StudyRootFind) as association:
            for uid in wanted.study_instance_uids or ("",):
                for status, answer in association.send_c_find(_query(wanted, uid), StudyRootFind):
                    code = _status(status)
                    if code in _PENDING and answer is not None:
                        study = _found(answer)
                        if study is not None:
                            found[study.study_instance_uid] = study
                    elif code != 0:
                        raise UnavailableError(
                            f"{self._ae_title} answers C-FIND with status 0x{code:04X}"
                        )
        return list(found.values())

    def retrieve(self, study_instance_uid: str, on_objects: OnObjects) -> Retrieved:
        """Have one study sent to our door."""
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.StudyInstanceUID = study_instance_uid
        code = failed = sent = 0
        with self._associate(StudyRootMove) as association:
            for status, _ in association.send_c_move(query, self._destination, StudyRootMove):
                code = _status(status)
                # In an answer that fails as a whole they may be missing.
                sent = _number(status, "NumberOfCompletedSuboperations", sent)
                sent += _number(status, "NumberOfWarningSuboperations", 0)
                failed = _number(status, "NumberOfFailedSuboperations", failed)
                on_objects(sent)
        if code == 0 and not failed:
            return Retrieved(total=sent)
        return Retrieved(total=(sent + failed) or None, reason=self._explain(code, failed))

    def _explain(self, code: int, failed: int) -> str:
        status = f"C-MOVE ended with status 0x{code:04X}"
        if failed:
            return f"{status}: {failed} objects failed; see the log of our DICOM door"
        # Move destination unknown is 0xA801 (PS3.4 section C.4.2.1.5); Orthanc says 0xC000.
        return (
            f"{status}; see that {self._ae_title} knows the AE {self._destination} and its address"
        )

    @contextmanager
    def _associate(self, model: str) -> Iterator[Association]:
        host, port = self._address
        cure = "check the address; it is given as AE@host:port"
        require_listener(host, port, who="archive", cure=cure)
        self._entity.requested_contexts = []
        self._entity.add_requested_context(model)
        association = self._entity.associate(host, port, ae_title=self._ae_title)
        if not association.is_established:
            raise UnavailableError(
                f"{host}:{port} rejects the association; check that its AE title is "
                f"{self._ae_title} and that it allows {self._entity.ae_title}"
            )
        try:
            if not association.accepted_contexts:
                raise UnavailableError(f"{self._ae_title} does not offer Query/Retrieve")
            yield association
        finally:
            if association.is_established:
                association.release()


def _query(wanted: Wanted, study_instance_uid: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_instance_uid
    query.AccessionNumber = wanted.accession_number or ""
    query.StudyDate = wanted.study_date or ""
    query.ModalitiesInStudy = wanted.modality or ""
    query.NumberOfStudyRelatedInstances = None
    query.NumberOfStudyRelatedSeries = None
    return query


def _found(answer: Dataset) -> FoundStudy | None:
    uid = str(answer.get("StudyInstanceUID", ""))
    if not is_uid(uid):
        return None
    return FoundStudy(
        uid,
        _number(answer, "NumberOfStudyRelatedInstances", 0) or None,
        _number(answer, "NumberOfStudyRelatedSeries", 0) or None,
    )


def _status(status: Dataset) -> int:
    if "Status" not in status:
        raise UnavailableError("the archive broke the association, or was silent too long")
    return int(status.Status)


def _number(data_set: Dataset, keyword: str, missing: int) -> int:
    value = data_set.get(keyword)
    try:
        return missing if value is None else int(value)
    except (TypeError, ValueError):
        return missing

"""A result as Comprehensive SR by TID 1500 (PS3.16), for archives and readers of findings."""

import warnings
from collections.abc import Sequence

import highdicom
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage

from schemas.finding import Finding, Presence
from schemas.result import ModelReference, Result
from workers.delivery.identity import Made, instance_uid, series_uid

MANUFACTURER = "medqueue"
SERIES_NUMBER = 9900
_OWN_SCHEME = "99MEDQUEUE"
_SCHEMES = {
    "http://snomed.info/sct": "SCT",
    "http://loinc.org": "LN",
    "http://radlex.org": "RADLEX",
}
_LONGEST_CODE, _LONGEST_MEANING = 16, 64
"""Code Value is SH, Code Meaning LO (PS3.3 section 8.8)."""
_LONGEST_DESCRIPTION = 64

_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
_DEVICE = CodedConcept("121007", "DCM", "Device")
_ARTIFICIAL_INTELLIGENCE = Code("123109", "DCM", "Artificial Intelligence")
_PRESENCE = Code("705057003", "SCT", "Presence")
_PROBABILITY = Code("probability", _OWN_SCHEME, "Probability of the finding")
_THRESHOLD = Code("threshold", _OWN_SCHEME, "Probability from which it counts as present")
_NO_UNITS = Code("1", "UCUM", "no units")
_PRESENCES = {
    Presence.PRESENT: Code("52101004", "SCT", "Present"),
    Presence.ABSENT: Code("2667000", "SCT", "Absent"),
    Presence.UNCERTAIN: Code("82334004", "SCT", "Indeterminate"),
}


def structured_report(
    result: Result, evidence: Sequence[Dataset], *, amends: str | None = None
) -> Dataset:
    """Write the findings of a result on images as one document in the images' study.

    Args:
        result: with at least one finding.
        evidence: headers of the images that were diagnosed, by `evidence.read_evidence`.
        amends: id of the result that this one takes the place of.
    """
    with warnings.catch_warnings():
        # Such as of names with one component: patients are called as their hospital wrote it.
        warnings.simplefilter("ignore")
        return ComprehensiveSR(
            evidence=evidence,
            content=_content(result, evidence),
            series_instance_uid=series_uid(result.id, Made.STRUCTURED_REPORT),
            series_number=SERIES_NUMBER,
            series_description=describe(result.model),
            sop_instance_uid=instance_uid(result.id, Made.STRUCTURED_REPORT),
            instance_number=1,
            manufacturer=MANUFACTURER,
            is_complete=True,
            is_final=False,  # no person has looked at it
            is_verified=False,
            previous_versions=[_document(amends, evidence[0])] if amends else None,
            content_date=result.completed_at.date(),
            content_time=result.completed_at.time(),
        )


def describe(model: ModelReference) -> str:
    """Return the Series Description: who says it, and that it is not for clinical use."""
    use = "AI" if model.cleared_for_clinical_use else "AI, not for clinical use"
    return f"{use}: {model.name} {model.version}"[:_LONGEST_DESCRIPTION]


def _content(result: Result, evidence: Sequence[Dataset]) -> MeasurementReport:
    model = result.model
    observer = DeviceObserverIdentifyingAttributes(
        uid=highdicom.UID(series_uid(f"{model.name}/{model.version}", Made.STRUCTURED_REPORT)),
        name=model.name,
        manufacturer_name=MANUFACTURER,
        model_name=f"{model.name} {model.version}",
        serial_number=model.sha256,
    )
    return MeasurementReport(
        title=_REPORT,
        procedure_reported=_PROCEDURE,
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=_DEVICE, observer_identifying_attributes=observer
            )
        ),
        imaging_measurements=[
            _group(result, number, finding, evidence)
            for number, finding in enumerate(result.findings, start=1)
        ],
    )


def _group(
    result: Result, number: int, finding: Finding, evidence: Sequence[Dataset]
) -> MeasurementsAndQualitativeEvaluations:
    measured = ((_PROBABILITY, finding.probability), (_THRESHOLD, finding.threshold))
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=highdicom.UID(series_uid(f"{result.id}/{number}", Made.STRUCTURED_REPORT)),
            identifier=finding.label,
        ),
        finding_type=_concept(finding),
        algorithm_id=_algorithm(result.model),
        source_images=[SourceImageForMeasurementGroup.from_source_image(one) for one in evidence],
        measurements=[
            Measurement(name=name, value=round(value, 4), unit=_NO_UNITS)
            for name, value in measured
            if value is not None
        ],
        qualitative_evaluations=[
            QualitativeEvaluation(name=_PRESENCE, value=_PRESENCES[finding.presence])
        ],
    )


def _algorithm(model: ModelReference) -> AlgorithmIdentification:
    use = "Cleared for clinical use" if model.cleared_for_clinical_use else "Not for clinical use"
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        family=_ARTIFICIAL_INTELLIGENCE,
        parameters=[use, f"Intended use: {model.intended_use}", f"SHA-256 {model.sha256}"],
    )


def _concept(finding: Finding) -> CodedConcept:
    code = finding.code
    if code is None or code.system not in _SCHEMES or len(code.code) > _LONGEST_CODE:
        label = finding.label
        return CodedConcept(label[:_LONGEST_CODE], _OWN_SCHEME, label[:_LONGEST_MEANING])
    return CodedConcept(code.code, _SCHEMES[code.system], code.display[:_LONGEST_MEANING])


def _document(result_id: str, image: Dataset) -> Dataset:
    """Return what a reference to the document of an earlier result needs."""
    document = Dataset()
    document.StudyInstanceUID = image.StudyInstanceUID
    document.SeriesInstanceUID = series_uid(result_id, Made.STRUCTURED_REPORT)
    document.SOPInstanceUID = instance_uid(result_id, Made.STRUCTURED_REPORT)
    document.SOPClassUID = ComprehensiveSRStorage
    return document

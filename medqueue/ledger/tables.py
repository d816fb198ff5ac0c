"""The tables of the ledger. A table of names, so it may be long."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine


class Timestamp(TypeDecorator[datetime]):
    """An instant in UTC.

    PostgreSQL keeps `timestamptz`; SQLite, which has no such type, keeps RFC 3339 text of fixed
    width, so that it sorts as time does and an integrator can read it.
    """

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of this database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Write an aware datetime as the column type has it.

        Raises:
            ValueError: the datetime is naive, so nobody can say which instant it means.
        """
        if value is not None and value.tzinfo is None:
            raise ValueError("an instant needs a time zone; use datetime.now(UTC)")
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return an aware datetime in UTC."""
        if value is None:
            return None
        if dialect.name == "postgresql":
            moment: datetime = value
            return moment.astimezone(UTC)
        return datetime.fromisoformat(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Id = String(32)
_Uid = String(64)
_Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
# SQLite numbers rows by itself only where the key is plain INTEGER.
_Serial = BigInteger().with_variant(Integer(), "sqlite")

studies = Table(
    "studies",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("study_instance_uid", _Uid, nullable=False, unique=True),
    Column("patient_id", String(128)),
    Column("patient_id_issuer", String(128)),
    Column("accession_number", String(128)),
    Column("calling_ae", String(64)),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False, server_default=text("0")),
    Column("received_at", Timestamp, nullable=False),
    Column("last_instance_at", Timestamp, nullable=False),
    Column("completed_at", Timestamp),
    Column("closed_by", String(32)),
    # When to judge it again; null: as soon as it is quiet. Whatever arrives makes it null.
    Column("due_at", Timestamp),
    Index("ix_studies_receiving", "state", "last_instance_at"),
    Index("ix_studies_accession_number", "accession_number"),
)

# Not by the id of a study: a count may be known before the first object is.
study_evidence = Table(
    "study_evidence",
    metadata,
    Column("study_instance_uid", _Uid, primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("source", String(128), primary_key=True),
    Column("series_instance_uid", _Uid, primary_key=True, server_default=text("''")),
    Column("instances", Integer),
    Column("series", Integer),
    Column("is_steady", Boolean, nullable=False),
    Column("times", Integer, nullable=False),
    Column("at", Timestamp, nullable=False),
)

series = Table(
    "series",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("study_id", _Id, ForeignKey("studies.id"), nullable=False),
    Column("series_instance_uid", _Uid, nullable=False),
    Column("modality", String(16)),
    Column("received_at", Timestamp, nullable=False),
    UniqueConstraint("study_id", "series_instance_uid"),
)

instances = Table(
    "instances",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("series_id", _Id, ForeignKey("series.id"), nullable=False, index=True),
    Column("sop_instance_uid", _Uid, nullable=False),
    Column("sop_class_uid", _Uid, nullable=False),
    Column("transfer_syntax_uid", _Uid, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("path", String(255), nullable=False),
    Column("disposition", String(16), nullable=False),
    Column("body_part", String(64)),
    Column("view_position", String(16)),
    Column("instance_number", Integer),
    Column("received_at", Timestamp, nullable=False),
    UniqueConstraint("sop_instance_uid", "sha256"),
    Index(
        "uq_instances_kept_sop_instance_uid",
        "sop_instance_uid",
        unique=True,
        sqlite_where=text("disposition = 'kept'"),
        postgresql_where=text("disposition = 'kept'"),
    ),
)

reports = Table(
    "reports",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("report_id", String(128), index=True),
    Column("version", Integer, nullable=False),
    Column("accession_number", String(128), index=True),
    Column("study_instance_uid", _Uid, index=True),
    Column("patient_id", String(128)),
    Column("patient_id_issuer", String(128)),
    Column("status", String(16)),
    Column("language", String(8)),
    Column("text", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("source", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("idempotency_key", String(384), unique=True),
    Column("received_at", Timestamp, nullable=False),
    UniqueConstraint("report_id", "version"),
)

orders = Table(
    "orders",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("placer_number", String(128), index=True),
    Column("filler_number", String(128), index=True),
    Column("accession_number", String(128), index=True),
    Column("study_instance_uid", _Uid, index=True),
    Column("patient_id", String(128)),
    Column("patient_id_issuer", String(128)),
    Column("priority", Integer, nullable=False),
    Column("is_cancelled", Boolean, nullable=False),
    Column("idempotency_key", String(384), nullable=False, unique=True),
    Column("received_at", Timestamp, nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("report_id", _Id, ForeignKey("reports.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("media_type", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

work = Table(
    "work",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("stage", String(32), nullable=False),
    Column("subject_id", _Id, nullable=False),
    Column("input_digest", String(64), nullable=False),
    Column("model_name", String(64), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("artifact", String(255)),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("round", Integer, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("max_attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False, server_default=text("0")),
    Column("lease_until", Timestamp),
    Column("next_try_at", Timestamp, nullable=False),
    Column("publish_after", Timestamp),
    Column("publications", Integer, nullable=False, server_default=text("0")),
    Column("worker", String(128)),
    Column("error_code", String(64)),
    Column("error_detail", Text),
    Column("created_at", Timestamp, nullable=False),
    Column("started_at", Timestamp),
    Column("finished_at", Timestamp),
    UniqueConstraint("subject_id", "stage", "input_digest", "model_name", "model_version"),
    Index("ix_work_due", "state", "next_try_at"),
    Index("ix_work_unpublished", "state", "publications", "priority", "created_at"),
    # Counting reads an index instead of the table: pages and metrics count all the time.
    Index("ix_work_stage_state", "stage", "state"),
)

results = Table(
    "results",
    metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=True),
    Column("id", _Id, nullable=False, unique=True),
    Column("kind", String(8), nullable=False),
    Column("status", String(16), nullable=False),
    Column("subject_id", _Id, nullable=False),
    Column("input_digest", String(64), nullable=False),
    Column("round", Integer, nullable=False),
    Column("study_instance_uid", _Uid, index=True),
    Column("series_instance_uid", _Uid),
    Column("sop_instance_uids", _Json, nullable=False),
    Column("accession_number", String(128)),
    Column("patient_id", String(128)),
    Column("report_id", String(128)),
    Column("model_name", String(64), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("model", _Json, nullable=False),
    Column("findings", _Json, nullable=False),
    Column("cautions", _Json, nullable=False, server_default=text("'[]'")),
    Column("error", _Json),
    Column("received_at", Timestamp, nullable=False),
    Column("completed_at", Timestamp, nullable=False),
    Column("receipt", _Json),
    UniqueConstraint("subject_id", "input_digest", "model_name", "model_version", "round"),
    Index("ix_results_kind_status", "kind", "status"),
    # What FHIR searches for; each with `seq`, in whose order pages come.
    Index("ix_results_completed_at", "completed_at", "seq"),
    Index("ix_results_accession_number", "accession_number", "seq"),
    Index("ix_results_patient_id", "patient_id", "seq"),
    Index("ix_results_report_id", "report_id", "seq"),
    sqlite_autoincrement=True,
)

# What shadows concluded: apart from `results`, so that no reader of those can meet it.
shadow_results = Table(
    "shadow_results",
    metadata,
    Column("subject_id", _Id, primary_key=True),
    Column("input_digest", String(64), primary_key=True),
    Column("model_name", String(64), primary_key=True),
    Column("model_version", String(64), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("status", String(16), nullable=False),
    Column("findings", _Json, nullable=False),
    Column("error", _Json),
    Column("completed_at", Timestamp, nullable=False),
    Index("ix_shadow_results_model", "model_name", "completed_at"),
)

# Pictures of where in an image a finding was seen. Its finding names one by its address.
explanations = Table(
    "explanations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("at", Timestamp, nullable=False),
)

# What the inputs of a model version were like, without saying whose; drift is told by it.
input_figures = Table(
    "input_figures",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("model_name", String(64), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("at", Timestamp, nullable=False),
    Column("intensity", Float, nullable=False),
    Column("contrast", Float, nullable=False),
    Column("score", Float, nullable=False),
    Column("distance", Float),
    Index("ix_input_figures_model", "model_name", "model_version", "at"),
)

trainings = Table(
    "trainings",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("folder", Text, nullable=False),
    Column("started_in", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("fence", Integer, nullable=False, server_default=text("0")),
    Column("lease_until", Timestamp),
    Column("published_at", Timestamp),
    Column("worker", String(128)),
    Column("error_code", String(64)),
    Column("error_detail", Text),
    Column("created_at", Timestamp, nullable=False),
    Column("started_at", Timestamp),
    Column("finished_at", Timestamp),
    Index("ix_trainings_state", "state"),
)

models = Table(
    "models",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("manifest", _Json, nullable=False),
    Column("released", Boolean, nullable=False),
    Column("shadow", Boolean, nullable=False, server_default=false()),
    Column("registered_at", Timestamp, nullable=False),
    Column("released_at", Timestamp),
    Index(
        "uq_models_released_name",
        "name",
        unique=True,
        sqlite_where=text("released = 1"),
        postgresql_where=text("released"),
    ),
    Index(
        "uq_models_shadow_name",
        "name",
        unique=True,
        sqlite_where=text("shadow = 1"),
        postgresql_where=text("shadow"),
    ),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("result_id", _Id, ForeignKey("results.id"), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_try_at", Timestamp, nullable=False),
    Column("error_code", String(64)),
    Column("error_detail", Text),
    Column("created_at", Timestamp, nullable=False),
    Column("delivered_at", Timestamp),
    UniqueConstraint("result_id", "destination"),
    Index("ix_deliveries_due", "destination", "state", "next_try_at"),
)

destinations = Table(
    "destinations",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

made_series = Table(
    "made_series",
    metadata,
    Column("series_instance_uid", _Uid, primary_key=True),
)

commitment_reports = Table(
    "commitment_reports",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("calling_ae", String(64), nullable=False),
    Column("content", _Json, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_try_at", Timestamp, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=True),
    Column("at", Timestamp, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject_id", _Id),
    Column("code", String(64)),
    Column("detail", Text),
    Index("ix_audit_events_action", "action", "at"),
    sqlite_autoincrement=True,
)

"""Settings, from the environment or a TOML file; the only place that reads the environment."""

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from medqueue.errors import ConfigurationError

PREFIX = "MEDQUEUE_"
CONFIG_VARIABLE = "MEDQUEUE_CONFIG"

_QUIET_TIMES = r"^\s*[^,=]+=\s*[0-9]{1,5}(\.[0-9]+)?\s*(,\s*[^,=]+=\s*[0-9]{1,5}(\.[0-9]+)?\s*)*$"
_MODEL_KEYS = r"^[A-Za-z0-9._-]+:[A-Za-z0-9+/]{43}=(,[A-Za-z0-9._-]+:[A-Za-z0-9+/]{43}=)*$"

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseModel):
    """Everything that can be set; `MEDQUEUE_` and the field's name in capitals is the variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(
        default_factory=lambda: Path.home() / ".local" / "share" / "medqueue",
        description="Folder for all state of the embedded mode, and for the instance store.",
    )
    database_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the ledger, such as postgresql+psycopg://user@host/name; "
        "unset: SQLite in the data folder.",
    )
    redis_url: str | None = Field(
        default=None,
        description="URL of Redis or Valkey, such as redis://host:6379/0; "
        "unset: an embedded server in the data folder.",
    )
    bind: str = Field(default="127.0.0.1", description="Address on which every door listens.")
    dimse_port: Port = Field(default=11112, description="Port of the DICOM door.")
    ae_title: Annotated[str, Field(pattern=r"^[\x21-\x5b\x5d-\x7e]{1,16}$")] = Field(
        default="MEDQUEUE", description="Application Entity title of the DICOM door."
    )
    http_port: Port = Field(default=8080, description="Port of the API, STOW-RS and the pages.")
    mllp_port: Port = Field(default=2575, description="Port of the HL7 v2 door.")
    hl7_senders: str | None = Field(
        default=None,
        description="Allow-list of the HL7 v2 door: addresses or networks, such as "
        "10.0.0.7,10.0.1.0/24; unset: any peer, on loopback only.",
    )
    hl7_charset: str = Field(
        default="UTF-8",
        description="Character set of HL7 v2 messages that name none in MSH-18, such as "
        "UTF-8, GB18030 or 8859/1.",
    )
    hl7_tls_certificate: Path | None = Field(
        default=None,
        description="PEM file of the HL7 v2 door's certificate and its chain; unset: no TLS.",
    )
    hl7_tls_key: Path | None = Field(
        default=None, description="PEM file of that certificate's private key, without a password."
    )
    hl7_tls_client_ca: Path | None = Field(
        default=None,
        description="PEM file of authorities; an HL7 v2 sender then needs a certificate of theirs.",
    )
    flower_port: Port = Field(default=5555, description="Port of Flower.")
    flower_login: str | None = Field(
        default=None, description="name:password for Flower; needed beyond loopback."
    )
    calling_aes: str | None = Field(
        default=None,
        description="Allow-list of the DICOM door: AE@address,AE@address; "
        "unset: any peer, on loopback only.",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file of the DICOM door's certificate and its chain; unset: no TLS.",
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file of the certificate's private key, without a password."
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description="PEM file of authorities; a DICOM sender then needs a certificate of theirs.",
    )
    commitment_peers: str | None = Field(
        default=None,
        description="Where Storage Commitment reports go: AE@host:port,AE@host:port; "
        "unset: back on the association of the request.",
    )
    private_sop_classes: str | None = Field(
        default=None,
        description="Private SOP Classes that the DICOM door takes: UID,UID or the word any.",
    )
    study_quiet_seconds: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=5.0, description="A study is complete when nothing has arrived for so long."
    )
    study_quiet_times: Annotated[str, Field(pattern=_QUIET_TIMES)] | None = Field(
        default=None,
        description="Quiet times of their own, in seconds, by calling AE or modality or both: "
        "AE=seconds,AE/modality=seconds,*/modality=seconds.",
    )
    study_longest_wait_seconds: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=30.0,
        description="A study of which objects are known to be missing, or whose association was "
        "cut off, waits so long for the next one.",
    )
    whole_study_aes: str | None = Field(
        default=None,
        description="Calling AEs that send each study whole in one association: AE,AE; its "
        "release completes the study.",
    )
    api_tokens: str | None = Field(
        default=None,
        description="name:role:sha256-of-token,... with the roles read, send and admin.",
    )
    destinations: str | None = Field(
        default=None,
        description="Where results are sent, such as pacs=dicom://PACS@10.0.1.7:104,"
        "vna=dicomweb+https://vna/dicom-web,ris=webhook+https://ris/results; unset: nowhere.",
    )
    destination_token: str | None = Field(
        default=None, description="Bearer token that is shown to destinations of HTTP."
    )
    webhook_secret: str | None = Field(
        default=None, description="Key with which webhooks are signed (HMAC-SHA256)."
    )
    model_keys: Annotated[str, Field(pattern=_MODEL_KEYS)] | None = Field(
        default=None,
        description="Public keys of makers of model packages: name:base64,name:base64; a package "
        "that is signed must be signed by one of them.",
    )
    model_signatures: Literal["optional", "required"] = Field(
        default="optional",
        description="Whether a model package that is added must be signed: optional or required.",
    )
    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=15.0,
        description="A worker that is silent for so long loses its work to another.",
    )
    max_attempts: Annotated[int, Field(ge=1, le=20)] = Field(
        default=3, description="How often work is tried before it ends as failed."
    )
    max_backlog: Annotated[int, Field(ge=1)] = Field(
        default=100_000,
        description="The doors answer 'try again' while so many pieces of work wait.",
    )
    routine_wait_seconds: Annotated[float, Field(gt=0)] = Field(
        default=900.0,
        description="Routine work that has waited so long is treated as urgent, one at a time.",
    )
    min_free_mib: Annotated[int, Field(ge=0)] = Field(
        default=512, description="The doors answer 'try again' below so much free disk, in MiB."
    )
    cpu_processes: Annotated[int, Field(ge=1, le=256)] = Field(
        default=2, description="Processes of the cpu worker."
    )
    gpu_threads: Annotated[int, Field(ge=1, le=256)] = Field(
        default=4, description="Threads of the gpu worker."
    )
    stop_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=10.0, description="How long a process may drain before it is killed."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level of the log lines that are written."
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("bind")
    @classmethod
    def _is_an_address(cls, bind: str) -> str:
        ipaddress.ip_address(bind)
        return bind

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine can reach the doors."""
        return ipaddress.ip_address(self.bind).is_loopback

    @property
    def ledger_url(self) -> str:
        """The SQLAlchemy URL of the ledger."""
        return self.database_url or f"sqlite:///{self.data_dir / 'ledger.sqlite3'}"

    @property
    def run_dir(self) -> Path:
        """Folder for sockets and process ids."""
        return self.data_dir / "run"

    @property
    def instances_dir(self) -> Path:
        """Folder of the instance store; doors and workers must share it."""
        return self.data_dir / "instances"

    @property
    def artifacts_dir(self) -> Path:
        """Folder of the files that pass between stages; workers must share it."""
        return self.data_dir / "artifacts"

    @property
    def models_dir(self) -> Path:
        """Folder of the model packages that a site has added; workers must share it."""
        return self.data_dir / "models"

    @property
    def trainings_dir(self) -> Path:
        """Folder of the configurations of queued trainings; workers must share it."""
        return self.data_dir / "trainings"

    @property
    def deliveries_dir(self) -> Path:
        """Folder of the objects that are on their way to a destination."""
        return self.data_dir / "deliveries"

    @property
    def trusted_model_keys(self) -> dict[str, str]:
        """The public keys of makers of model packages, in base64, by name."""
        entries = (entry.partition(":") for entry in (self.model_keys or "").split(",") if entry)
        return {name: key for name, _, key in entries}

    def to_environment(self) -> dict[str, str]:
        """Return the settings as variables, for the processes that the supervisor starts."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items()}


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from a TOML file, if one is named, and the environment, which wins.

    Raises:
        ConfigurationError: a setting is unknown or wrong; the message names it and the cure.
    """
    variables = os.environ if environment is None else environment  # noqa: TID251 - the one place
    values = _read_toml(variables.get(CONFIG_VARIABLE))
    for name, value in variables.items():
        if name.startswith(PREFIX) and name != CONFIG_VARIABLE and value != "":
            values[name.removeprefix(PREFIX).lower()] = value
    _refuse_unknown(values)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None


def _read_toml(name: str | None) -> dict[str, Any]:
    if not name:
        return {}
    try:
        return tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"{CONFIG_VARIABLE}: cannot read {name}: {reason}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{CONFIG_VARIABLE}: {name} is not TOML: {error}") from None


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    known = Settings.model_fields
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"did you mean {PREFIX}{near[0].upper()}?" if near else "remove it."
            raise ConfigurationError(f"{PREFIX}{name.upper()} is not a setting: {cure}")


def _explain(error: ValidationError) -> str:
    """Say which setting is wrong and what it wants, without repeating a value: it may be secret."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0])
        wants = Settings.model_fields[name].description
        lines.append(f"{PREFIX}{name.upper()}: {problem['msg']}. {wants}")
    return "\n".join(lines)

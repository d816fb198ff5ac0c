"""Model versions as the ledger knows them, and which of them are released."""

from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, Text, cast, delete, or_, select, update

from medqueue.errors import NotFoundError, PackageError, TransitionError
from medqueue.ledger import audit
from medqueue.ledger.engine import insert_if_new
from medqueue.ledger.tables import models, work
from schemas.manifest import Engine, Manifest
from schemas.registration import RegisteredModel
from schemas.result import ResultKind
from schemas.work import SHADOW_STAGES, WorkState

_MANIFEST_TEXT = cast(models.c.manifest, Text)


def register(connection: Connection, manifest: Manifest, *, now: datetime) -> None:
    """Make a model version known; the first of a name is released at once, if no candidate.

    Raises:
        PackageError: the same name and version is known with other weights or another manifest.
    """
    row = {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": manifest.sha256,
        "manifest": manifest.model_dump(mode="json"),
        "released": False,
        "registered_at": now,
    }
    connection.execute(insert_if_new(connection, models), row)
    known = find(connection, manifest.name, manifest.version)
    # As values, not as JSON: what an older version of medqueue wrote lacks fields of today.
    changed = [
        name for name in Manifest.model_fields if getattr(known, name) != getattr(manifest, name)
    ]
    if changed:
        what = "weights" if "sha256" in changed else "manifest"
        raise PackageError(
            f"{manifest.name} {manifest.version} is known with other {what} "
            f"({', '.join(changed)}); a version never changes: give the package a new version"
        )
    any_released = connection.execute(
        select(models.c.version).where(models.c.name == manifest.name, models.c.released)
    ).first()
    if any_released is None and not manifest.candidate:
        release(connection, manifest.name, manifest.version, actor="medqueue", now=now)


def release(connection: Connection, name: str, version: str, *, actor: str, now: datetime) -> None:
    """Make one version of a model the one that new inputs go to; it is no shadow any more.

    Raises:
        NotFoundError: this version is not registered.
    """
    this_name = models.c.name == name
    connection.execute(update(models).where(this_name, models.c.released).values(released=False))
    changed = connection.execute(
        update(models)
        .where(this_name, models.c.version == version)
        .values(released=True, released_at=now)
    )
    if changed.rowcount == 0:
        raise NotFoundError(f"model {name} {version} is not registered; see: medqueue models list")
    _take_from_the_shadow(connection, name, version)
    audit.record(connection, now=now, actor=actor, action="release", detail=f"{name} {version}")


def let_shadow(
    connection: Connection, name: str, version: str, *, actor: str, now: datetime
) -> None:
    """Let a version run on new inputs beside the released one, unseen; one of a name at a time.

    Raises:
        NotFoundError: this version is not registered, or no version of this name is released.
        TransitionError: it is the released one, or a comparison, which reads results and no inputs.
    """
    manifest = find(connection, name, version)
    if manifest.engine is Engine.COMPARISON:
        raise TransitionError(f"{name} compares results; only what reads inputs can be a shadow")
    this_name = models.c.name == name
    released = connection.execute(
        select(models.c.version).where(this_name, models.c.released).with_for_update()
    ).scalar()
    if released is None:
        raise NotFoundError(f"no version of {name} is released that {version} could run beside")
    if released == version:
        raise TransitionError(f"{name} {version} is released; a shadow runs beside another version")
    if _shadow_of(connection, name) == version:
        return
    end_shadow(connection, name, actor=actor, now=now)
    connection.execute(
        update(models).where(this_name, models.c.version == version).values(shadow=True)
    )
    audit.record(connection, now=now, actor=actor, action="shadow", detail=f"{name} {version}")


def end_shadow(connection: Connection, name: str, *, actor: str, now: datetime) -> str | None:
    """End the shadow of a name, if there is one, and return its version."""
    version = _shadow_of(connection, name)
    if version is not None:
        _take_from_the_shadow(connection, name, version)
        detail = f"{name} {version}"
        audit.record(connection, now=now, actor=actor, action="end-shadow", detail=detail)
    return version


def _shadow_of(connection: Connection, name: str) -> str | None:
    return connection.execute(
        select(models.c.version).where(models.c.name == name, models.c.shadow)
    ).scalar()


def _take_from_the_shadow(connection: Connection, name: str, version: str) -> None:
    """Let a version be no shadow, and drop what waits for it: nobody asks for that any more."""
    ended = connection.execute(
        update(models)
        .where(models.c.name == name, models.c.version == version, models.c.shadow)
        .values(shadow=False)
    )
    if ended.rowcount:
        connection.execute(
            delete(work).where(
                work.c.stage.in_(SHADOW_STAGES),
                work.c.model_name == name,
                work.c.model_version == version,
                work.c.state == WorkState.PENDING,
            )
        )


def roll_back(connection: Connection, name: str, *, actor: str, now: datetime) -> str | None:
    """Release again the version that was released before the present one, and return it.

    A candidate that was the first to be released waits again: then none is, and None returned.

    Raises:
        NotFoundError: no other version of this model was ever released.
    """
    before = released_before(connection, name)
    if before is None:
        return _withdraw_candidate(connection, name, actor=actor, now=now)
    release(connection, name, before, actor=actor, now=now)
    return before


def released_before(connection: Connection, name: str) -> str | None:
    """Return the version that was released before the present one, if any was."""
    return connection.execute(
        select(models.c.version)
        .where(models.c.name == name, ~models.c.released, models.c.released_at.is_not(None))
        .order_by(models.c.released_at.desc())
        .limit(1)
    ).scalar()


def _withdraw_candidate(
    connection: Connection, name: str, *, actor: str, now: datetime
) -> str | None:
    this = (models.c.name == name) & models.c.released
    version = connection.execute(select(models.c.version).where(this)).scalar()
    if version is None or not find(connection, name, version).candidate:
        raise NotFoundError(
            f"model {name} has no earlier release to go back to; see: medqueue models list"
        )
    connection.execute(update(models).where(this).values(released=False))
    audit.record(connection, now=now, actor=actor, action="withdraw", detail=f"{name} {version}")
    return None


def all_versions(connection: Connection) -> list[RegisteredModel]:
    """Return every version known, by name, the newest registration first."""
    rows = connection.execute(
        select(models).order_by(models.c.name, models.c.registered_at.desc())
    ).all()
    return [
        RegisteredModel(
            manifest=Manifest.model_validate(row.manifest),
            released=row.released,
            registered_at=row.registered_at,
            released_at=row.released_at,
            shadow=row.shadow,
        )
        for row in rows
    ]


def released(connection: Connection, kind: ResultKind) -> list[Manifest]:
    """Return the manifests of the released models of one kind, by name."""
    rows = connection.execute(
        select(_MANIFEST_TEXT).where(models.c.released).order_by(models.c.name)
    ).scalars()
    manifests = [_parse(text) for text in rows]
    return [manifest for manifest in manifests if manifest.kind is kind]


def wanted(connection: Connection, kind: ResultKind) -> tuple[list[Manifest], list[Manifest]]:
    """Return the manifests of one kind that new inputs go to: the released ones, and shadows."""
    rows = connection.execute(
        select(_MANIFEST_TEXT.label("text"), models.c.shadow)
        .where(or_(models.c.released, models.c.shadow))
        .order_by(models.c.name)
    ).all()
    found = [(_parse(row.text), row.shadow) for row in rows]
    of_kind = [(manifest, shadow) for manifest, shadow in found if manifest.kind is kind]
    return (
        [manifest for manifest, shadow in of_kind if not shadow],
        [manifest for manifest, shadow in of_kind if shadow],
    )


def find(connection: Connection, name: str, version: str) -> Manifest:
    """Return the manifest of one registered version.

    Raises:
        NotFoundError: it is not registered.
    """
    text = connection.execute(
        select(_MANIFEST_TEXT).where(models.c.name == name, models.c.version == version)
    ).scalar()
    if text is None:
        raise NotFoundError(f"model {name} {version} is not registered; see: medqueue models list")
    return _parse(text)


@lru_cache(maxsize=128)
def _parse(text: str) -> Manifest:
    """Parse a manifest once for each content: every report and every piece of work asks for one."""
    return Manifest.model_validate_json(text)

"""Releasing a version, going back, and shadowing, each in one transaction that workers follow.

Studies and texts are planned for the version that is released at that moment, so nothing needs a
restart and nothing falls between two versions. The version is tried out before, on this machine: a
package that cannot be loaded must not be what the next patient waits for.
"""

from datetime import datetime
from pathlib import Path

from medqueue.errors import TransitionError
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.operate import registration
from medqueue.settings import Settings
from medqueue.storage import packages
from schemas.manifest import Manifest


def promote(
    ledger: Ledger, settings: Settings, name: str, version: str, *, actor: str, now: datetime
) -> None:
    """Try a version out and make it the one that new inputs go to.

    Raises:
        NotFoundError: this version is not registered.
        PackageError: it is not on this machine, or does not do what its maker says.
    """
    with ledger.read() as connection:
        manifest = models.find(connection, name, version)
    registration.try_out(_folder_of(settings, manifest))
    with ledger.write() as connection:
        models.release(connection, name, version, actor=actor, now=now)


def roll_back(
    ledger: Ledger, settings: Settings, name: str, *, actor: str, now: datetime
) -> str | None:
    """Release again, once it is tried out, the version before; of a candidate none, and return it.

    Raises:
        NotFoundError: no other version of this model was ever released.
        PackageError: the version before cannot be served; nothing has changed.
        TransitionError: somebody else has released another version meanwhile.
    """
    with ledger.read() as connection:
        before = models.released_before(connection, name)
        manifest = None if before is None else models.find(connection, name, before)
    if manifest is not None:
        registration.try_out(_folder_of(settings, manifest))
    with ledger.write() as connection:
        version = models.roll_back(connection, name, actor=actor, now=now)
        if version != before:
            raise TransitionError(
                f"another version of {name} was released at this moment; see: medqueue models list"
            )
    return version


def shadow(
    ledger: Ledger, settings: Settings, name: str, version: str, *, actor: str, now: datetime
) -> None:
    """Try a version out and let it run beside the released one, unseen, on new inputs.

    Raises:
        NotFoundError: this version is not registered, or no version of this name is released.
        PackageError: it is not on this machine, or does not do what its maker says.
        TransitionError: it is the released one, or reads no inputs.
    """
    with ledger.read() as connection:
        manifest = models.find(connection, name, version)
    registration.try_out(_folder_of(settings, manifest))
    with ledger.write() as connection:
        models.let_shadow(connection, name, version, actor=actor, now=now)


def _folder_of(settings: Settings, manifest: Manifest) -> Path:
    """Return the folder of a registered version; one from outside is still signed as asked for."""
    added = registration.added_packages(settings)
    folder = packages.folder_of(manifest, [*registration.installed_packages(), *added])
    if folder in added:
        registration.require_signature(settings, folder)
    return folder

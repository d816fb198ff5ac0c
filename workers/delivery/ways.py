"""From the id of a result to what a destination gets: what to make of it, and how it goes there."""

from collections.abc import Sequence

from pydicom import Dataset

from medqueue.ledger import deliveries, models
from medqueue.ledger.engine import Ledger
from medqueue.results.deliverable import Deliverable, read_deliverable
from medqueue.settings import Settings
from medqueue.storage.instances import InstanceStore
from schemas.destination import Destination, Form
from workers.delivery import sending
from workers.delivery.identity import Made, series_uid
from workers.delivery.loop import Deliver
from workers.delivery.objects import Prepare, objects_of


def way_to(
    destination: Destination, settings: Settings, ledger: Ledger, prepare: Prepare
) -> Deliver:
    """Return what delivers a result to a destination.

    Args:
        destination: of any form.
        settings: of our AE title, the stores and the secrets.
        ledger: where results are.
        prepare: decodes images, apart from this process.
    """
    store = InstanceStore(settings.instances_dir, min_free_mib=settings.min_free_mib)

    def deliver(result_id: str) -> None:
        deliverable = read_deliverable(ledger, result_id)
        if destination.form is Form.MLLP:
            sending.tell(deliverable.result, destination.url, sending_facility=settings.ae_title)
            return
        if not destination.form.is_dicom:
            sending.call_webhook(
                deliverable.result,
                destination.url,
                secret=settings.webhook_secret,
                token=settings.destination_token,
            )
            return
        window = _window(ledger, deliverable)
        objects = objects_of(deliverable, store.path_of, prepare, window=window)
        # Before anybody has them: one that comes back at once is not to be diagnosed.
        deliveries.note_made(ledger, [series_uid(result_id, made) for made in Made])
        _send(objects, destination, settings)

    return deliver


def _window(ledger: Ledger, deliverable: Deliverable) -> tuple[float, float] | None:
    model = deliverable.result.model
    with ledger.read() as connection:
        preparation = models.find(connection, model.name, model.version).preparation
    return preparation.window if preparation else None


def _send(objects: Sequence[Dataset], destination: Destination, settings: Settings) -> None:
    if destination.entity is not None:
        sending.store(
            objects,
            destination.entity,
            calling=settings.ae_title,
            folder=settings.deliveries_dir,
        )
    else:
        sending.stow(objects, destination.url, token=settings.destination_token)

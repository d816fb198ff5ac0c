"""The command `medqueue deliver`: one loop for each destination, in the foreground."""

import signal
import threading

import click

from medqueue.errors import ConfigurationError
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.logs import configure_logs
from medqueue.operate.destinations import read_destinations
from medqueue.settings import load_settings


@click.command(
    epilog="Example: MEDQUEUE_DESTINATIONS=pacs=dicom://PACS@10.0.1.7:104 medqueue deliver"
)
def deliver() -> None:
    """Send finished results to the destinations of the settings until SIGTERM.

    A destination that is new gets what is diagnosed from now on. `medqueue up` runs this by
    itself where destinations are set.
    """
    from workers.delivery.loop import DeliveryLoop
    from workers.delivery.ways import way_to
    from workers.preprocess.isolated import IsolatedPreparation, Nursery

    settings = load_settings()
    configure_logs("deliver", settings.log_level)
    destinations = read_destinations(settings)
    if not destinations:
        raise ConfigurationError(
            "there is nothing to deliver to; set MEDQUEUE_DESTINATIONS, such as "
            "pacs=dicom://PACS@10.0.1.7:104"
        )
    ledger = open_ledger(settings.ledger_url)
    schema.require_current(ledger)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    prepare = IsolatedPreparation(Nursery())
    loops = [
        DeliveryLoop(ledger, one, way_to(one, settings, ledger, prepare)) for one in destinations
    ]
    threads = [threading.Thread(target=loop.run, args=(stop,)) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

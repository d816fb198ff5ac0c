"""`medqueue serve` and `medqueue worker`: one role in the foreground, for compose or Kubernetes."""

import signal
import threading

import click

from medqueue.broker.routing import Role, queues_of
from medqueue.doors.admission import Admission
from medqueue.errors import ConfigurationError
from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.logs import configure_logs
from medqueue.settings import Settings, load_settings
from medqueue.storage.instances import InstanceStore


@click.group()
def serve() -> None:
    """Run one role in the foreground until SIGTERM.

    Example: medqueue serve door
    """


@serve.command()
def door() -> None:
    """Run the DICOM door and the HL7 v2 door.

    Example: MEDQUEUE_DIMSE_PORT=11112 MEDQUEUE_MLLP_PORT=2575 medqueue serve door
    """
    from medqueue.doors.dimse.listener import DimseDoor
    from medqueue.doors.hl7.listener import Hl7Door

    settings = _start("door")
    admission = _admission(settings, _open(settings))
    doors = (DimseDoor(settings, admission), Hl7Door(settings, admission))
    stop = _stop_on_signal()
    for each in doors:
        each.start()
    stop.wait()
    closing = [threading.Thread(target=each.stop, args=(settings.stop_seconds,)) for each in doors]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()


@serve.command()
def api() -> None:
    """Run the HTTP door, the results API and the pages.

    Example: MEDQUEUE_HTTP_PORT=8080 medqueue serve api
    """
    from medqueue.broker.app import require_answer
    from medqueue.web.app import create_app
    from medqueue.web.serving import serve_http

    settings = _start("api")
    ledger = _open(settings)
    checks = {"redis": require_answer(settings)}
    app = create_app(settings, ledger, _admission(settings, ledger), checks=checks)
    serve_http(app, settings)


@serve.command()
def relay() -> None:
    """Run the relay: it completes studies and rings the broker for due work.

    Example: medqueue serve relay
    """
    from medqueue.broker.app import create_app
    from medqueue.broker.relay import Relay

    settings = _start("relay")
    stop = _stop_on_signal()
    Relay(_open(settings), create_app(settings), settings).run(stop)


@serve.command()
def flower() -> None:
    """Run Flower, where administrators watch the queues and workers.

    Example: MEDQUEUE_FLOWER_LOGIN=admin:secret medqueue serve flower
    """
    import flower.options  # noqa: F401 - it defines the option that is set below
    from tornado.options import options

    from medqueue.broker.app import create_app

    settings = _start("flower")
    if not settings.loopback_only and settings.flower_login is None:
        raise ConfigurationError(
            "Flower would listen beyond this machine without a login; "
            "set MEDQUEUE_FLOWER_LOGIN=name:password, or MEDQUEUE_BIND=127.0.0.1"
        )
    if settings.flower_login is not None:
        # Not as an argument: every user of the machine can read those.
        options.basic_auth = [settings.flower_login]
    create_app(settings).start(
        ["flower", f"--address={settings.bind}", f"--port={settings.flower_port}"]
    )


@click.command()
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="cpu prepares images and reads texts; gpu runs image models; train trains.",
)
def worker(role: str) -> None:
    """Run one worker until SIGTERM; work in hand is finished first.

    Example: medqueue worker --role cpu
    """
    from medqueue.broker.app import create_app
    from medqueue.broker.watchdog import watch

    settings = _start(f"worker-{role}")
    _open(settings).close()
    pool = {
        Role.CPU: ["--pool=prefork", f"--concurrency={settings.cpu_processes}"],
        # prefork and CUDA do not mix.
        Role.GPU: ["--pool=threads", f"--concurrency={settings.gpu_threads}"],
        # A process apart: one that outgrows the memory takes the training along, not the worker.
        Role.TRAIN: ["--pool=prefork", "--concurrency=1"],
    }[Role(role)]
    app = create_app(settings)
    watch(app, queues_of(Role(role)))
    app.worker_main(
        [
            "worker",
            f"--hostname={role}@%h",
            f"--queues={','.join(queues_of(Role(role)))}",
            f"--loglevel={settings.log_level}",
            # Workers need not know each other; asking costs a second at every start.
            "--without-mingle",
            "--without-gossip",
            *pool,
        ]
    )


def _start(process: str) -> Settings:
    settings = load_settings()
    configure_logs(process, settings.log_level)
    return settings


def _open(settings: Settings) -> Ledger:
    ledger = open_ledger(settings.ledger_url)
    schema.require_current(ledger)
    return ledger


def _admission(settings: Settings, ledger: Ledger) -> Admission:
    store = InstanceStore(settings.instances_dir, min_free_mib=settings.min_free_mib)
    return Admission(
        ledger, store, max_attempts=settings.max_attempts, max_backlog=settings.max_backlog
    )


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop

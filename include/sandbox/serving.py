"""The sandbox as one process: RIS over HTTP, and a look every half second whether somebody asked something by file."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

from include.sandbox.enrichment import Provider
from include.sandbox.ris import Ris
from include.sandbox.ris_files import RisFiles
from include.sandbox.ris_server import RisServer
from include.sandbox.settings import SandboxPlaces, SandboxSettings

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.5


def serve(settings: SandboxSettings, places: SandboxPlaces) -> None:
    """Serve until SIGTERM or SIGINT, then leave nothing behind."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    ris = Ris(settings, places.exchange_root, places.state)
    server = RisServer(ris, places.ris_host, places.ris_port, places.ris_token)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="ris", daemon=True)
    serving.start()
    logger.info("the sandbox serves RIS on %s:%s (seed %s)", places.ris_host, server.server_port, settings.seed)
    provider = Provider(settings, places.exchange_root, places.state)
    files = RisFiles(ris)
    while not stopping.wait(LOOK_EVERY_SECONDS):
        _look_around(provider, files, by_files=places.ris_by_files)
    server.shutdown()
    server.server_close()
    logger.info("the sandbox stops")


def _look_around(provider: Provider, files: RisFiles, *, by_files: bool) -> None:
    """Answer what came by file. One bad file must not end the process; it is logged and looked at again."""
    try:
        for path in provider.answer_all():
            logger.info("wrote %s", path.name)
        for path in files.acknowledge():
            logger.info("wrote %s", path.name)
        if by_files:
            for month in files.months():
                for path in files.export(month):
                    logger.info("wrote %s", path.name)
    except (OSError, ValueError, KeyError) as error:
        # the message of such an error can quote a row; the kind of error and the place must do
        logger.error("a file could not be answered: %s", type(error).__name__)

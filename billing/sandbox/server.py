"""The process: uvicorn with a protocol that can cut a line; stops within a second of SIGTERM."""

import logging

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from billing.sandbox.app import create_app
from billing.sandbox.door import CUT
from billing.sandbox.options import Options


class CuttableProtocol(HttpToolsProtocol):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CUT: {"close": self.transport.close}}


def serve(options: Options) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    uvicorn.run(
        create_app(options),
        host=options.host,
        port=options.port,
        http=CuttableProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        workers=1,  # whatever WEB_CONCURRENCY says to the door: its state is one
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=65,
    )

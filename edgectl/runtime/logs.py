"""Logs: readable on a terminal, JSON lines under systemd or into a file. Event names are stable; units ride as fields."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(*, is_terminal: bool | None = None, level: int = logging.INFO) -> None:
    """Send our own and the libraries' logs through one pipe to standard error.

    Libraries speak only from WARNING on: what a charger or a broker does wrong is counted and told by our own events.
    """
    if is_terminal is None:
        is_terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor
    if is_terminal:
        renderer = structlog.dev.ConsoleRenderer()
    else:
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("edgectl").setLevel(level)
    # Hand-shakes that fail are refused and counted by us; the library's own lines would be one traceback per port scan.
    for name in ("websockets", "pymodbus", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

"""HTTP for people and scrapers, read-only: the fleet's page, JSON, ``/metrics``, ``/healthz``."""

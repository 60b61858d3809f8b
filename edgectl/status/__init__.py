"""Shows the site: a page, a JSON API, metrics and health over HTTP; the same over a Unix socket for the command line.

- ``http``     the server and its routes; start reading here
- ``encode``   views and records as JSON
- ``words``    why a limit is what it is, in a sentence
- ``metrics``  the Prometheus exposition
- ``openapi``  the description of the API
- ``page.html`` the live page: one file, nothing from the internet

May import ``edgectl.domain`` and ``edgectl.ports``.
"""

from edgectl.status.http import StatusServer

__all__ = ["StatusServer"]

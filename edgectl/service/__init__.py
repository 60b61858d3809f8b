"""Makes edgectl a service of the gateway: ``edgectl service install``.

The unit and its companions are kept in ``systemd/`` of the checkout and travel inside the wheel. Imports nothing of ours. Start
reading at :func:`install`.
"""

from edgectl.service.install import Runner, ServiceError, install

__all__ = ["Runner", "ServiceError", "install"]

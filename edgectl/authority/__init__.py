"""The site's own certificate authority: signs what chargers ask for, so that security profile 3 needs nobody else.

It decides nothing: who may have a certificate is the core's to say. May import ``domain`` and ``ports``. Start reading at
``local.py``; ``requests.py`` says which requests can be signed, ``files.py`` keeps key, root and register.
"""

from edgectl.authority.files import AuthorityFiles, Issued
from edgectl.authority.local import LocalAuthority

__all__ = ["AuthorityFiles", "Issued", "LocalAuthority"]

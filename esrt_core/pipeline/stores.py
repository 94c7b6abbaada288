"""Which store a place lies in."""

from esrt_core.pipeline.local_store import LocalStore
from esrt_core.pipeline.store import Store, is_address


def store_of(place: str) -> Store:
    """Return the store in which a place lies; raise RemoteError where the package for it is missing."""
    if not is_address(place):
        return LocalStore()
    from esrt_core.pipeline.object_store import ObjectStore

    return ObjectStore(place.partition("://")[0])

"""Plan pictures for a cluster: the rules of a folder, with records in place of a manifest."""

from esrt_core.pipeline.batch.manifest import FOLDER, Records, read_records
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.plan import Plan, check_found, find_pictures, plan_pictures
from esrt_core.pipeline.batch.sources import BOOK, Root
from esrt_core.pipeline.batch.storage import Item, join, store_of
from esrt_core.selection import UpscalerPool

StorePlan = Plan[Records]


def plan_store(options: FolderOptions, pool: UpscalerPool) -> StorePlan:
    """Find the pictures at paths or addresses, read their headers, and decide what to do.

    Raises: what plan_folder() raises, and RemoteError if a store refuses.
    """
    findings = find_pictures(options, pool)
    findings.skipped[BOOK] += len(findings.books)
    findings.skipped, findings.books = +findings.skipped, []
    check_found(findings, options)
    trees = {found.root for found in findings.pictures if not found.alongside}

    def open_log(root: Root) -> Records:
        return read_records(root.location, _results_at(root.location, deep=root in trees))

    return plan_pictures(options, pool, findings, open_log)


def _results_at(folder: str, deep: bool) -> dict[str, Item]:
    """Return the objects of a folder of results: its whole tree, or those directly in it and the records."""
    store = store_of(folder)
    if deep:
        return dict(store.listing(folder))
    records = store.listing(join(folder, FOLDER))
    return {**store.directly(folder), **{f"{FOLDER}/{key}": item for key, item in records.items()}}

import errno
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from esrt_core.errors import EsrtError, OptionError, TargetError, WeightsError
from esrt_core.model import ESRT
from esrt_core.weights.address import digest_of
from esrt_core.weights.catalog import BUNDLED, dump_rows
from esrt_core.weights.importing import import_weights
from esrt_core.weights.library import all_entries, find_entries, make_index, remove_weights
from esrt_core.weights.settings import StoreOptions, store_options, temporary_folder
from esrt_core.weights.store import fetch_weights, find_model, resolve
from tests.conftest import file_size_limit
from tests.weights.conftest import Site


@pytest.fixture
def hosted(site: Site, weights: Path) -> Site:
    site.files["w/tiny_x2.safetensors"] = weights.read_bytes()
    site.files["w/index.json"] = dump_rows(make_index(weights.parent))
    return site


def use(model: str, options: StoreOptions, scale: int | None = None) -> Path:
    return resolve(model, scale, options=options).path


def refuse(model: str, options: StoreOptions, scale: int | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        resolve(model, scale, options=options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def cached(options: StoreOptions) -> list[Path]:
    return sorted(options.cache.glob("weights/*"))


# Names


@pytest.mark.parametrize("name", ["auto", "clean"])
def test_bundled_weights_have_three_scales(options: StoreOptions, name: str) -> None:
    assert find_model(name, options=options).scales == (2, 3, 4)
    assert resolve(name, options=options).scale == 4
    found = resolve(name, 2, options=options)
    assert (found.path.parent, found.scale, found.kind) == (BUNDLED, 2, "clean")
    assert found.sha256 == digest_of(found.path).sha256


def test_an_unknown_name_lists_the_known_ones(options: StoreOptions) -> None:
    assert "unknown weights 'nix'; choose one of clean" in refuse("nix", options)


def test_a_scale_that_is_not_there_is_refused(options: StoreOptions, weights: Path) -> None:
    import_weights(weights, "mine", False, options)
    assert "no 'mine' weights for x4; available: x2" in refuse("mine", options, 4)
    assert resolve("mine", options=options).scale == 2


def test_imported_weights_are_found_by_name(options: StoreOptions, weights: Path) -> None:
    entry = import_weights(weights, "mine", False, options)
    weights.unlink()
    assert use("mine", options) == entry.path
    assert find_model("mine", options=options).scales == (2,)


def test_pth_files_are_imported_as_safetensors(options: StoreOptions, network: ESRT, tmp_path: Path) -> None:
    torch.save({"state_dict": network.state_dict()}, tmp_path / "a.pth")
    assert import_weights(tmp_path / "a.pth", "mine", False, options).path.suffix == ".safetensors"


def test_a_taken_name_needs_overwrite(options: StoreOptions, weights: Path, network: ESRT, tmp_path: Path) -> None:
    first = import_weights(weights, "mine", False, options)
    torch.save({name: tensor + 1 for name, tensor in network.state_dict().items()}, tmp_path / "b.pth")
    with pytest.raises(WeightsError, match="'mine x2' already exists"):
        import_weights(tmp_path / "b.pth", "mine", False, options)
    second = import_weights(tmp_path / "b.pth", "mine", True, options)
    assert use("mine", options) == second.path
    assert not first.path.exists()
    assert len(list(second.path.parent.iterdir())) == 2


@pytest.mark.parametrize("name", ["auto", "photo", "drawing", "a/b", ""])
def test_kept_and_odd_names_cannot_be_imported(options: StoreOptions, weights: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="name"):
        import_weights(weights, name, False, options)


def test_imports_look_at_every_number(options: StoreOptions, network: ESRT, tmp_path: Path) -> None:
    state = {**network.state_dict(), "a1": torch.tensor([torch.nan])}
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: tensor a1 has 1 of 1 values"):
        import_weights(tmp_path / "a.pth", "mine", False, options)
    assert not list((options.data / "weights").iterdir())


def test_changed_imports_are_never_used(options: StoreOptions, weights: Path) -> None:
    path = import_weights(weights, "mine", False, options).path
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    message = refuse("mine", options)
    assert f"{path} is damaged or was changed: expected" in message
    assert "found" in message
    assert "import it again" in message


# Paths


def test_a_path_is_used_where_it_is(options: StoreOptions, weights: Path) -> None:
    found = resolve(str(weights), options=options)
    assert (found.path, found.name, found.scale, found.kind) == (weights, "tiny", 2, "test")
    assert find_model(str(weights), options=options).scales == (2,)


def test_a_path_at_another_scale_is_refused(options: StoreOptions, weights: Path) -> None:
    assert "upscales by 2, not 3" in refuse(str(weights), options, 3)


def test_pth_files_say_their_scale(options: StoreOptions, network: ESRT, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "a.pth")
    assert resolve(str(tmp_path / "a.pth"), options=options).scale == 2


def test_a_missing_path_is_one_sentence(options: StoreOptions) -> None:
    assert "no/such/file does not exist" in refuse("no/such/file", options)


# Addresses


def test_an_address_is_recorded_at_its_first_use(options: StoreOptions, hosted: Site, weights: Path) -> None:
    address = hosted.url("w/tiny_x2.safetensors")
    assert "first use of" in find_model(address, options=options).notes[0]
    remove_weights(address, None, options)
    hosted.asked.clear()
    first = resolve(address, options=options)
    assert first.sha256 == digest_of(weights).sha256
    assert first.sha256 in first.notes[0]
    second = resolve(address, options=options)
    assert (second.path, second.notes) == (first.path, ())
    assert hosted.asked == ["w/tiny_x2.safetensors"]


def test_a_recorded_address_may_not_change(options: StoreOptions, hosted: Site) -> None:
    address = hosted.url("w/tiny_x2.safetensors")
    use(address, options).unlink()
    hosted.faults["w/tiny_x2.safetensors"] = ["wrong bytes"]
    message = refuse(address, options)
    assert "sent another file" in message
    assert cached(options) == []


def test_the_hash_in_an_address_is_checked(options: StoreOptions, hosted: Site, weights: Path) -> None:
    address = hosted.url("w/tiny_x2.safetensors")
    assert "nothing was kept" in refuse(f"{address}#sha256={'0' * 64}", options)
    assert cached(options) == []
    found = resolve(f"{address}#sha256={digest_of(weights).sha256}", options=options)
    assert found.notes == ()


def test_an_address_with_another_hash_asks_again(options: StoreOptions, hosted: Site) -> None:
    address = hosted.url("w/tiny_x2.safetensors")
    use(address, options)
    assert "nothing was kept" in refuse(f"{address}#sha256={'0' * 64}", options)
    assert len(hosted.asked) == 2


@pytest.mark.parametrize("fragment", ["sha256=12", "md5=3", "sha256=" + "g" * 64])
def test_a_fragment_that_is_no_hash_is_refused(options: StoreOptions, fragment: str) -> None:
    assert "expected '#sha256='" in refuse(f"https://host/a#{fragment}", options)


def test_what_is_not_esrt_is_not_kept(options: StoreOptions, site: Site) -> None:
    site.files["page.safetensors"] = b"<html>not here</html>"
    message = refuse(site.url("page.safetensors"), options)
    assert "page.safetensors is not a safetensors file" in message
    assert cached(options) == []
    assert not (options.data / "urls").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["truncate silently", "end without a length", "wrong bytes", "lie short", "die", "stall"]
)
def test_damage_on_the_way_is_never_kept(options: StoreOptions, hosted: Site, fault: str) -> None:
    hosted.faults["w/tiny_x2.safetensors"] = [fault]
    refuse(hosted.url("w/tiny_x2.safetensors"), options)
    assert cached(options) == []


# Indexes


def test_names_of_an_index_are_fetched_once(options: StoreOptions, hosted: Site) -> None:
    options = replace(options, index=hosted.url("w/index.json"))
    first = use("tiny", options)
    assert use("tiny", options) == first
    assert hosted.asked == ["w/index.json", "w/tiny_x2.safetensors"]


def test_damage_in_the_cache_is_downloaded_again(options: StoreOptions, hosted: Site, weights: Path) -> None:
    options = replace(options, index=hosted.url("w/index.json"))
    path = use("tiny", options)
    path.write_bytes(path.read_bytes()[:100])
    found = resolve("tiny", options=options)
    assert digest_of(found.path) == digest_of(weights)
    assert "downloaded again" in found.notes[0]


def test_offline_the_cache_serves(options: StoreOptions, hosted: Site) -> None:
    options = replace(options, index=hosted.url("w/index.json"))
    path = use("tiny", options)
    hosted.asked.clear()
    offline = replace(options, offline=True)
    assert use("tiny", offline) == path
    path.unlink()
    assert "ESRT_OFFLINE is set" in refuse("tiny", offline)
    assert hosted.asked == []


@pytest.mark.parametrize("model", ["tiny", "https://localhost/tiny_x2.safetensors"])
def test_offline_nothing_is_asked_for(options: StoreOptions, model: str) -> None:
    options = replace(options, index="https://localhost/index.json", offline=True)
    assert "ESRT_OFFLINE is set" in refuse(model, options)


def test_a_new_name_in_an_index_is_found(options: StoreOptions, hosted: Site) -> None:
    options = replace(options, index=hosted.url("w/index.json"))
    hosted.files["w/later.json"], hosted.files["w/index.json"] = (
        hosted.files["w/index.json"],
        dump_rows([]),
    )
    assert [entry for entry in all_entries(options) if entry.origin == "index"] == []
    hosted.files["w/index.json"] = hosted.files["w/later.json"]
    assert use("tiny", options).is_file()


def test_bundled_and_imported_names_need_no_index(options: StoreOptions, weights: Path) -> None:
    options = replace(options, index="https://localhost:1/index.json")
    import_weights(weights, "mine", False, options)
    assert use("auto", options).is_file()
    assert use("mine", options).is_file()


def test_fetch_asks_for_the_newest_index(options: StoreOptions, hosted: Site, weights: Path) -> None:
    options = replace(options, index=hosted.url("w/index.json"))
    fetch_weights("tiny", None, options)
    hosted.asked.clear()
    fetch_weights("tiny", None, options)
    assert hosted.asked == ["w/index.json"]


def test_odd_file_names_are_found_beside_an_index(options: StoreOptions, site: Site, weights: Path) -> None:
    odd = weights.rename(weights.with_name("ü 1_x2.safetensors"))
    site.files["%C3%BC%201_x2.safetensors"] = odd.read_bytes()
    site.files["index.json"] = dump_rows(make_index(odd.parent))
    assert digest_of(use("1", replace(options, index=site.url("index.json")))) == digest_of(odd)


def test_an_index_that_breaks_does_not_replace_its_copy(options: StoreOptions, hosted: Site) -> None:
    options = replace(options, index=hosted.url("w/index.json"))
    use("tiny", options)
    hosted.files["w/index.json"] = b"<html>"
    with pytest.raises(WeightsError, match="is not JSON"):
        all_entries(options, refresh=True)
    assert use("tiny", options).is_file()


def test_files_beside_an_index_on_disk_are_used_where_they_are(options: StoreOptions, weights: Path) -> None:
    make_index(weights.parent)
    for index in (weights.parent, weights.parent / "index.json"):
        assert use("tiny", replace(options, index=str(index))) == weights


def test_an_index_cannot_offer_kept_names(options: StoreOptions, weights: Path) -> None:
    weights.rename(weights.with_name("photo_x2.safetensors"))
    make_index(weights.parent)
    assert "contains 'photo x2', a name reserved" in refuse("other", replace(options, index=str(weights.parent)))


def test_own_names_hide_those_of_an_index(options: StoreOptions, weights: Path) -> None:
    entry = import_weights(weights, "tiny", False, options)
    make_index(weights.parent)
    assert use("tiny", replace(options, index=str(weights.parent))) == entry.path


# Together


def test_two_at_once_are_harmless(options: StoreOptions, hosted: Site, weights: Path) -> None:
    options = replace(options, index=hosted.url("w/index.json"))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(use("tiny", options))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert cached(options) == [found[0]]
    assert digest_of(found[0]) == digest_of(weights)


def test_remove_takes_back_what_was_kept(options: StoreOptions, hosted: Site, weights: Path) -> None:
    address = hosted.url("w/tiny_x2.safetensors")
    use(address, options)
    import_weights(weights, "mine", False, options)
    assert [entry.origin for entry in remove_weights(address, None, options)] == ["url"]
    assert [entry.origin for entry in remove_weights("mine", 2, options)] == ["imported"]
    assert {entry.origin for entry in all_entries(options)} == {"bundled"}
    assert not [path for path in options.data.rglob("*") if path.is_file()]
    assert cached(options) == []


def test_remove_leaves_what_is_not_its_own(options: StoreOptions, weights: Path) -> None:
    with pytest.raises(WeightsError, match="bundled with the program"):
        remove_weights("clean", None, options)
    with pytest.raises(WeightsError, match="your own file"):
        remove_weights(str(weights), None, options)
    make_index(weights.parent)
    with pytest.raises(WeightsError, match="your own file"):
        remove_weights("tiny", None, replace(options, index=str(weights.parent)))
    assert weights.is_file()


def test_an_address_never_used_has_no_entry(options: StoreOptions) -> None:
    with pytest.raises(WeightsError, match="is not downloaded yet"):
        find_entries("https://host/a", None, options)


# Settings


def test_home_moves_both_folders(tmp_path: Path) -> None:
    options = store_options({"ESRT_HOME": str(tmp_path), "ESRT_OFFLINE": "1", "ESRT_INDEX": "i"})
    assert (options.cache, options.data) == (tmp_path / "cache", tmp_path / "data")
    assert (options.offline, options.index) == (True, "i")


def test_offline_is_a_switch() -> None:
    assert not store_options({"ESRT_OFFLINE": "0"}).offline
    with pytest.raises(OptionError, match="must be 1 or 0"):
        store_options({"ESRT_OFFLINE": "perhaps"})


def test_a_folder_that_cannot_be_written_names_the_way_out(options: StoreOptions, weights: Path) -> None:
    options.data.write_text("a file, not a folder")
    with pytest.raises(WeightsError, match="set ESRT_HOME"):
        import_weights(weights, "mine", False, options)


def test_a_full_disk_is_one_sentence(
    options: StoreOptions, hosted: Site, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TargetError, match="the disk is full"):
        import_weights(weights, "mine", False, options)
    assert not list((options.data / "weights").iterdir())


@pytest.mark.slow
def test_the_store_never_imports_torch() -> None:
    script = "import sys, esrt_core.weights.store as s; s.resolve('clean'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_full_disk_while_importing_names_no_temporary_file(options: StoreOptions, weights: Path) -> None:
    with file_size_limit(1000), pytest.raises(TargetError, match="cannot be written") as caught:
        import_weights(weights, "mine", False, options)
    assert str(options.data / "weights" / weights.name) in str(caught.value)
    assert "esrt-tmp" not in str(caught.value)


@pytest.mark.parametrize("kind", [WeightsError, TargetError])
def test_no_error_names_a_temporary_folder(tmp_path: Path, kind: type[EsrtError]) -> None:
    with (
        pytest.raises(kind, match=re.escape(f"{tmp_path / 'a.safetensors'} is gone")),
        temporary_folder(tmp_path) as temporary,
    ):
        raise kind(f"{temporary / 'a.safetensors'} is gone")

from pathlib import Path

from esrt_core.system.memory import ASSUMED, available_bytes


def test_the_smaller_of_machine_and_container_counts(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9000 kB\nMemAvailable:    4000 kB\n")
    assert available_bytes(meminfo, tmp_path) == 4000 * 1024
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert available_bytes(meminfo, tmp_path) == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(meminfo, tmp_path) == 4000 * 1024


def test_a_system_that_does_not_say_is_assumed_to_have_some(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "nothing", tmp_path) == ASSUMED

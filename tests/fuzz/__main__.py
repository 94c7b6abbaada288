"""Run many cases: python -m tests.fuzz --cases 20000 --seed 1; the same seed gives the same cases.

Cases run in processes of their own, a few hundred in each, so that a crash costs one of them and is reported too.
"""

import argparse
import faulthandler
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.cases import Case, damaged_file, run_case

CHUNK = 250
TIMEOUT_SECONDS = 1800


def main() -> int:
    """Run the cases and print what went wrong; return 1 if anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--end-to-end", type=int, default=None, metavar="N", help="of them through `esrt batch`; default 2 %%"
    )
    parser.add_argument(
        "--states", type=int, default=None, metavar="N", help="damaged state files besides; default 10 %%"
    )
    parser.add_argument("--clips", type=int, default=None, metavar="N", help="damaged clips besides; default 2 %%")
    parser.add_argument("--keep", type=Path, help="write the files of findings here")
    parser.add_argument("--worker", metavar="PART", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return _work(options.worker, options.seed, options.first, options.cases)
    from tests.fuzz.end_to_end import run_folders

    share = options.cases // 50 if options.end_to_end is None else options.end_to_end
    counts = {
        "files": options.cases,
        "states": options.cases // 10 if options.states is None else options.states,
        "clips": options.cases // 50 if options.clips is None else options.clips,
    }
    found = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        works = [
            pool.submit(_chunk, part, options.seed, at, min(CHUNK, options.first + count - at))
            for part, count in counts.items()
            for at in range(options.first, options.first + count, CHUNK)
        ]
        for work in works:
            for case, line in work.result():
                found += 1
                print(line, flush=True)
                if options.keep and case is not None and case.part != "states":
                    _keep(options.keep, case)
    for line in run_folders(options.seed, share):
        found += 1
        print(line, flush=True)
    parts = ", ".join(f"{count} {part}" for part, count in counts.items())
    print(f"{parts} and {share} pictures end to end of seed {options.seed}: {found} findings")
    return 1 if found else 0


def _chunk(part: str, seed: int, first: int, count: int) -> list[tuple[Case | None, str]]:
    """Run cases in another process; after a crash go on behind the case that crashed. Return the case of each line."""
    found: list[tuple[Case | None, str]] = []
    end = first + count
    while first < end:
        command = [sys.executable, "-m", "tests.fuzz", "--worker", part, "--seed", str(seed), "--first", str(first)]
        try:
            done = subprocess.run(
                [*command, "--cases", str(end - first)],
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            text = f"{part}, case from {first} on: no end within {TIMEOUT_SECONDS} s; {str(error.stdout)[-100:]}"
            return [*found, (None, text)]
        lines = done.stdout.splitlines()
        found += [(Case(seed, int(line.split()[2]), part), line) for line in lines if line.startswith(f"{part} case ")]
        if done.returncode == 0:
            return found
        last = max((int(line[3:]) for line in lines if line.startswith("at ")), default=first)
        found.append((Case(seed, last, part), f"{part} case {last} crashed ({done.returncode}): {done.stderr[-2000:]}"))
        first = last + 1
    return found


def _work(part: str, seed: int, first: int, count: int) -> int:
    faulthandler.enable()
    with tempfile.TemporaryDirectory(prefix="esrt-fuzz-") as folder:
        for number in range(first, first + count):
            print(f"at {number}", flush=True)
            finding = run_case(Case(seed, number, part), Path(folder))
            if finding is not None:
                print(f"{part} case {number} {finding.file}: {' | '.join(finding.what.splitlines()[-12:])}", flush=True)
    return 0


def _keep(folder: Path, case: Case) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name, data = damaged_file(case)
    (folder / f"{case.part}-{case.seed}-{case.number}-{name}").write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())

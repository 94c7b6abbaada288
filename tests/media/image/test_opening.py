import subprocess
import sys

import pytest

IN_PARALLEL = """
import sys, threading

from PIL import ImageFile

from esrt_core.media.image.opening import decoding
from esrt_core.media.image.picture import ReadLimits
from esrt_core.system.process import configure_process

if sys.argv[1] == "program":
    configure_process()
both = threading.Barrier(2, timeout=2)
met = []

def run(truncated: bool) -> None:
    with decoding("a", ReadLimits(allow_truncated=truncated)):
        try:
            both.wait()
        except threading.BrokenBarrierError:
            return
        met.append((truncated, bool(ImageFile.LOAD_TRUNCATED_IMAGES)))

threads = [threading.Thread(target=run, args=(truncated,)) for truncated in (False, True)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(met), bool(ImageFile.LOAD_TRUNCATED_IMAGES))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("use", "printed"), [("program", "[(False, False), (True, True)] False"), ("library", "[] False")]
)
def test_two_files_are_decoded_at_a_time_in_the_program_and_with_settings_of_their_own(use: str, printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", IN_PARALLEL, use], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (printed, "")

"""A tuning worker that builds nothing: any kernel takes a made-up time.  It notes each trial in the file of its name.

    INSTANT_LOG=FILE python -m tests.tune.instant
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import zlib

_PR_SET_PDEATHSIG = 1


def main() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    print('{"phase": "ready"}', flush=True)
    for line in sys.stdin:
        config = json.dumps(json.loads(line)["config"])
        time.sleep(0.01)
        seconds = 1e-4 + 1e-9 * (zlib.crc32(config.encode()) % 100_000)
        with open(os.environ["INSTANT_LOG"], "a") as log:
            log.write(f"{config}\n")
        print(json.dumps({"seconds": seconds, "note": {}}), flush=True)


if __name__ == "__main__":
    main()

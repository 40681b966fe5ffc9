"""What a handoff under `auto` adds to the local answer, with the SDK imported beside it and after it.

    python tests/benchmarks/hidden_import.py [ROUNDS]

Needs the default model in HYBRID_HOME. The same prompt is answered locally and kept, handed off, and handed
off with the early import switched off; the cloud on loopback answers at once.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from scripted_cloud import ScriptedCloud

PROMPT = "Name three uses of vinegar in the kitchen."
RUN = "import sys; sys.argv[0] = 'hybrid'; from hybrid_cli.__main__ import main; sys.exit(main())"
LATE = f"import hybrid_cli.cloud.sdk as sdk; sdk.prefetch = lambda *_, **__: None; {RUN}"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with ScriptedCloud() as cloud, tempfile.TemporaryDirectory() as folder:
        variables = {**os.environ, "HYBRID_CONSENT": cloud.origin}
        times: dict[str, list[float]] = {}
        for name, threshold in (("kept", 0.01), ("early", 0.99), ("late", 0.99)):
            path = Path(folder) / f"{name}.yaml"
            path.write_text(
                f"version: 1\n{cloud.section()}local: {{sampling: {{max_tokens: 120, repeat_penalty: 1.1}}}}\n"
                f"escalation: {{target: {{threshold: {threshold}}}, on_cloud_failure: fail}}\n"
            )
        for number in range(rounds + 1):
            for name in ("kept", "early", "late"):
                code = LATE if name == "late" else RUN
                arguments = ["run", "-q", "-p", str(Path(folder) / f"{name}.yaml"), PROMPT]
                started = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", code, *arguments],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    env=variables,
                    check=False,
                )
                if number:
                    times.setdefault(name, []).append(time.perf_counter() - started)
                if name != "kept":
                    assert done.stdout == b"The cloud says hello.\n", done
    for name, found in times.items():
        print(f"{name}: median {statistics.median(found):.3f} s, least {min(found):.3f} s")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

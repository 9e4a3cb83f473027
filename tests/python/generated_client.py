#!/usr/bin/env python3
"""Generates a client from a running server's own document and uses the four calls of /api/v1 through it.

    generated_client.py BASE_URL [--service example] [--user-id 4711] [--timeout 60]

Submits files with sub-paths, spaces and Unicode in their names, waits, compares what comes back byte by byte, and
cancels a second job. Every status that the document does not tell of is an error, so this also shows that it is whole.
"""

import argparse
import importlib
import inspect
import io
import subprocess
import sys
import tempfile
import time
import zipfile
from http import HTTPStatus
from pathlib import Path

CONFIG = Path(__file__).with_name("openapi-python-client.yaml")
WAIT_SECONDS = 10
LIVE = {"Queued", "Processing", "Submitted", "Running", "Unknown"}

INPUTS = {
    "plain.txt": b"one line\n",
    "sub/dir/deep.txt": b"kept below its directories\n",
    "with space/a b.txt": b"a name with a space\n",
    "Proben/Größe α→β 🧬.pdb": "ATOM: not only ASCII inside either, \u00e4\n".encode(),
    "bytes.bin": bytes(range(256)) * 300,
    "empty.dat": b"",
}
# openapi-python-client 0.29 always sends the boundary `+++`, so no file may hold a line that begins `--+++`.

RUN = b"""#!/bin/bash
sleep 2
mkdir -p out/nested
cat plain.txt "with space/a b.txt" > "out/nested/both of them.txt"
"""
BOTH = INPUTS["plain.txt"] + INPUTS["with space/a b.txt"]
ENDLESS = b"#!/bin/bash\nexec sleep 3600\n"


def generate(base_url, directory):
    """Writes the client below `directory`; it is importable afterwards."""
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{base_url}/openapi.json"]
    command += ["--config", CONFIG, "--meta", "none", "--output-path", directory / "orchestrator_client"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"generation failed:\n{said}"
    assert "WARNING" not in said.upper(), f"parts of the document were left out:\n{said}"
    sys.path.insert(0, str(directory))


class Jobs:
    """The generated calls, with a client that refuses what the document does not tell of."""

    def __init__(self, base_url, timeout):
        package = importlib.import_module("orchestrator_client")
        self.types = importlib.import_module("orchestrator_client.types")
        self.client = package.Client(base_url=base_url, timeout=WAIT_SECONDS + 20, raise_on_unexpected_status=True)
        self.timeout = timeout

    def call(self, operation, *arguments, **named):
        module = importlib.import_module(f"orchestrator_client.api.jobs.{operation}")
        return module.sync_detailed(*arguments, client=self.client, **named)

    def submit(self, files, user_id, service):
        module = importlib.import_module("orchestrator_client.api.jobs.submit_job")
        form = inspect.signature(module.sync_detailed).parameters["body"].annotation
        parts = [self.types.File(payload=io.BytesIO(content), file_name=name) for name, content in files.items()]
        answer = self.call("submit_job", body=form(file=parts, user_id=user_id, service=service))
        assert answer.status_code == HTTPStatus.CREATED, f"submit: {answer}"
        return answer.parsed.id

    def status(self, job):
        """Of a job that has ended, or after WAIT_SECONDS: the server answers when there is something to say."""
        answer = self.call("get_job", job, wait_seconds=WAIT_SECONDS)
        assert answer.status_code == HTTPStatus.OK and answer.parsed.id == job, f"get_job: {answer}"
        return str(answer.parsed.status)

    def wait(self, job):
        """The first status that is not a live one."""
        deadline = time.monotonic() + self.timeout
        while (status := self.status(job)) in LIVE:
            assert time.monotonic() < deadline, f"job {job} is still {status} after {self.timeout} s"
        return status

    def refused_results(self, job):
        answer = self.call("get_results", job)
        assert answer.status_code == HTTPStatus.CONFLICT, f"get_results: {answer.status_code} {answer.content[:200]}"
        assert answer.headers["content-type"].startswith("application/problem+json"), answer.headers
        assert answer.parsed is not None and answer.parsed.code, f"get_results: a problem without a code: {answer}"
        return answer.parsed.code


def check_results(jobs, job):
    answer = jobs.call("get_results", job)
    assert answer.status_code == HTTPStatus.OK, f"get_results: {answer.status_code} {answer.content[:200]}"
    assert isinstance(answer.parsed, jobs.types.File), f"get_results: the zip is not in the client: {answer.parsed}"
    with zipfile.ZipFile(answer.parsed.payload) as archive:
        assert archive.testzip() is None, "the zip is damaged"
        names = set(archive.namelist())
        for name, content in (INPUTS | {"out/nested/both of them.txt": BOTH, "run.sh": RUN}).items():
            assert name in names, f"{name!r} is missing in {sorted(names)}"
            assert archive.read(name) == content, f"{name!r} came back changed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base_url")
    parser.add_argument("--service", default="example")
    parser.add_argument("--user-id", type=int, default=4711)
    parser.add_argument("--timeout", type=float, default=60.0, help="of each wait, in seconds")
    options = parser.parse_args()
    base_url = options.base_url.rstrip("/")

    with tempfile.TemporaryDirectory() as directory:
        generate(base_url, Path(directory))
        jobs = Jobs(base_url, options.timeout)

        job = jobs.submit({"run.sh": RUN} | INPUTS, options.user_id, options.service)
        early = jobs.refused_results(job)
        end = jobs.wait(job)
        assert end == "Completed", f"job {job} ended {end}"
        check_results(jobs, job)

        endless = jobs.submit({"run.sh": ENDLESS}, options.user_id, options.service)
        cancelled = jobs.call("cancel_job", endless)
        assert cancelled.status_code in (HTTPStatus.OK, HTTPStatus.ACCEPTED), f"cancel_job: {cancelled}"
        end = jobs.wait(endless)
        assert end == "Killed", f"job {endless} ended {end}"
        late = jobs.refused_results(endless)

    print(f"generated client: job {job} with {len(INPUTS) + 1} files came back whole (409 {early} before),")
    print(f"job {endless} was cancelled (409 {late} after)")


if __name__ == "__main__":
    main()

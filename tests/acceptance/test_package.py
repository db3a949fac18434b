"""The wheel alone, in an empty environment, does the main job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words: str | Path, cwd: Path) -> str:
    """Run a command; its output, or a failure that shows it."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=500, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(900)
def test_the_wheel_installed_in_an_empty_environment_runs_the_demo(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    wheel = next(tmp_path.glob("*.whl"))
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv, cwd=tmp_path)
    run(venv / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    said = run(venv / "bin" / "fhir-coder", "demo", cwd=tmp_path)
    assert "accepted exactly once" in said
    run(venv / "bin" / "fhir-coder", "init", tmp_path / "site", cwd=tmp_path)
    assert (tmp_path / "site" / "mappings" / "charge-master.csv").is_file()
    [package] = venv.glob("lib/*/site-packages/fhir_coder")
    assert (package / "py.typed").is_file()
    assert list(package.glob("_shipped/fixtures/visits/*/expected.json"))

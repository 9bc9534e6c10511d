"""`make audit`: what is known against the code and the locked dependencies. Writes its findings below build/audit/.

bandit and detect-secrets read the checkout and need no network. The SBOM (CycloneDX) and the list of licences come from
the installed packages. pip-audit asks PyPI for advisories: where that gives no answer nothing was audited, which this
says, and fails, because "no known vulnerabilities" would be a lie.

The tools run in environments of their own (`uv tool run`), so that they cannot change what the project runs on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "audit"
BIN = ROOT / ".venv" / "bin"
CODE = ("include", "dags", "plugins", "config", "deploy")
BANDIT, DETECT_SECRETS, PIP_AUDIT, CYCLONEDX = (
    "bandit==1.9.*", "detect-secrets==1.5.*", "pip-audit==2.10.*", "cyclonedx-bom==7.*"
)  # fmt: skip
SKIPPED = "B101,B105,B311,B404,B603,B606,B607"
"""Subprocesses are started with fixed argument lists and no shell; `random` spaces retries; `assert` narrows types; the
"passwords" are names of variables. ruff's S rules, a port of bandit's, look at the same lines in `make lint`."""
BASELINE = ".ci/secrets.baseline"
COPYLEFT = ("AGPL", "GPL")


def tool(package: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool in an environment of its own."""
    argv = [str(BIN / "uv"), "tool", "run", "--quiet", "--from", package, *command]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def code() -> str | None:
    """bandit: patterns of insecure code."""
    report = OUT / "bandit.json"
    done = tool(BANDIT, "bandit", "--quiet", "--recursive", *CODE, "--skip", SKIPPED, "-f", "json", "-o", str(report))
    found = json.loads(report.read_text())["results"] if report.exists() else None
    if found is None:
        return f"bandit did not run: {done.stderr.strip()[-300:]}"
    lines = [f"{item['filename']}:{item['line_number']} {item['test_id']} {item['issue_text']}" for item in found]
    return "\n".join(lines) or None


def secrets() -> str | None:
    """detect-secrets: what looks like a password or key and is not in .ci/secrets.baseline, which a person has read."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    # Hashes of packages and of results are random text by nature.
    files = [n for n in tracked if not n.startswith("bench/results/") and n not in ("requirements.lock", BASELINE)]
    done = tool(DETECT_SECRETS, "detect-secrets-hook", "--baseline", BASELINE, *files)
    return None if done.returncode == 0 else (done.stdout or done.stderr).strip()


def licences() -> str | None:
    """The SBOM of what is installed, and the licences in it; copyleft and unknown ones are listed, not judged."""
    sbom = OUT / "sbom.cdx.json"
    done = tool(CYCLONEDX, "cyclonedx-py", "environment", str(BIN / "python"), "--output-file", str(sbom))
    if done.returncode:
        return f"cyclonedx-py did not run: {done.stderr.strip()[-300:]}"
    parts = json.loads(sbom.read_text())["components"]
    names = {f"{part['name']} {part.get('version', '')}": _licence(part) for part in parts}
    (OUT / "licences.txt").write_text("".join(f"{name}: {licence}\n" for name, licence in sorted(names.items())))
    odd = [f"{n} ({x})" for n, x in sorted(names.items()) if x == "unknown" or x.startswith(COPYLEFT)]
    print(f"  {len(names)} packages; copyleft or unknown, for a person to look at: {', '.join(odd) or 'none'}")
    return None


def _licence(part: dict[str, list[dict[str, object]]]) -> str:
    found = []
    for entry in part.get("licenses", []):
        licence = entry.get("license")
        name = entry.get("expression") or (
            licence.get("id") or licence.get("name") if isinstance(licence, dict) else ""
        )
        found.append(str(name).partition("\n")[0][:60])
    return " / ".join(dict.fromkeys(found)) or "unknown"


def advisories() -> str | None:
    """pip-audit: known vulnerabilities of what requirements.lock pins."""
    report = OUT / "pip-audit.json"
    report.unlink(missing_ok=True)
    done = tool(
        PIP_AUDIT, "pip-audit", "--require-hashes", "--disable-pip", "-r", "requirements.lock", "-f", "json",
        "-o", str(report),
    )  # fmt: skip
    if not report.exists():
        return f"NOT AUDITED: no advisory service answered ({done.stderr.strip()[-200:]})"
    parts = json.loads(report.read_text())["dependencies"]
    bad = [f"{p['name']} {p['version']}: {', '.join(v['id'] for v in p['vulns'])}" for p in parts if p.get("vulns")]
    skipped = [part for part in parts if "skip_reason" in part]
    if skipped:
        bad.append(f"NOT AUDITED: {len(skipped)} of {len(parts)} packages, first: {skipped[0]['skip_reason']}")
    return "\n".join(bad) or None


CHECKS: dict[str, Callable[[], str | None]] = {
    "code (bandit)": code,
    "secrets (detect-secrets)": secrets,
    "licences and SBOM (CycloneDX)": licences,
    "advisories (pip-audit)": advisories,
}


def main() -> int:
    """Run all; 1 where one found something or could not look."""
    OUT.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for name, check in CHECKS.items():
        print(f"{name}:", flush=True)
        found = check()
        print("  nothing found" if found is None else "  " + found.replace("\n", "\n  "), flush=True)
        wrong += found is not None
    print(f"Reports: {OUT}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""A connectathon's first minute with a payer, step by step: in plain words what holds or fails, and what to do.

Nothing is filed: a sample claim is only validated, where the payer offers Claim/$validate.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import requests

from fhir_coder.model import Json
from fhir_coder.payers.answer import HttpAnswer, objects, text
from fhir_coder.payers.auth import Auth, AuthError, auth_faults, auth_of
from fhir_coder.payers.handshake_network import Found, certificate_step, connect_step, name_step
from fhir_coder.payers.sample import sample_claim
from fhir_coder.payers.sessions import FAILURES, SessionTokenDesk, open_session
from fhir_coder.settings.access import AccessSettings

FHIR_JSON = "application/fhir+json"
_MOST_BYTES = 16 * 1024 * 1024


class StepStatus(enum.StrEnum):
    """What came of a step."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what was found, what to do about it, and how long it took in seconds."""

    name: str
    status: StepStatus
    text: str
    advice: str = ""
    seconds: float = 0.0


STEPS = ("settings", "dns", "tcp", "tls", "token", "metadata", "claim")
"""The steps in their order. What comes after a failed one cannot be tried and is skipped."""


def shake_hands(access: AccessSettings) -> Iterator[Step]:
    """Try a payer's endpoint step by step; each step is given as soon as it is done."""
    trial = _Trial(access)
    failed = ""
    for name in STEPS:
        if failed:
            yield Step(name, StepStatus.SKIPPED, f"not tried: {failed} failed")
            continue
        began = time.monotonic()
        step = _step(name, trial.steps[name]())
        yield replace(step, seconds=round(time.monotonic() - began, 3))
        failed = name if step.status is StepStatus.FAILED else ""


def is_passed(steps: Sequence[Step]) -> bool:
    """Whether no step failed."""
    return all(step.status is not StepStatus.FAILED for step in steps)


def _step(name: str, found: Found) -> Step:
    return Step(name, StepStatus(found.status), found.text, found.advice)


class _Trial:
    """What the steps share: who we are, and what the payer said of itself."""

    def __init__(self, access: AccessSettings) -> None:
        self._access = access
        self._auth: Auth = auth_of(access)
        self._tokens = SessionTokenDesk(access)
        self._metadata: Json = {}
        self.steps: dict[str, Callable[[], Found]] = {
            "settings": self._settings,
            "dns": lambda: name_step(access),
            "tcp": lambda: connect_step(access),
            "tls": lambda: certificate_step(access),
            "token": self._token,
            "metadata": self._capabilities,
            "claim": self._claim,
        }

    def _settings(self) -> Found:
        faults = auth_faults(self._access)
        if faults:
            return Found.failed("; ".join(f"{key}: {reason}" for key, reason in faults), "Correct the settings.")
        return Found.ok(f'auth "{self._access.auth}": secrets, keys and certificates can be read')

    def _token(self) -> Found:
        if self._access.auth == "none":
            return Found("skipped", 'auth is "none": no token is asked for')
        try:
            shown = self._auth.authorization(self._tokens)
        except AuthError as error:
            return _no_access(error)
        return Found.ok(f"{shown.partition(' ')[0]} credentials are at hand")

    def _capabilities(self) -> Found:
        answer = self._asked("GET", "metadata")
        if isinstance(answer, Found):
            return answer
        if answer.status != 200:
            return _refused(answer.status)
        self._metadata = answer.resource or {}
        if self._metadata.get("resourceType") != "CapabilityStatement":
            return Found.failed("the answer is no CapabilityStatement", _BASE_ADDRESS)
        missing = list(_missing(self._metadata))
        version = text(self._metadata, "fhirVersion") or "unknown"
        if missing:
            return Found("warning", f"FHIR {version}; {'; '.join(missing)}", _METADATA)
        return Found.ok(f"FHIR {version}; takes claims")

    def _claim(self) -> Found:
        if "validate" not in _operations(self._metadata, "Claim"):
            return Found("skipped", "the payer does not offer Claim/$validate: no claim is shown to it")
        answer = self._asked("POST", "Claim/$validate", sample_claim())
        if isinstance(answer, Found):
            return answer
        issues = [i for i in objects(answer.resource, "issue") if text(i, "severity") in ("error", "fatal")]
        if answer.status == 200 and not issues:
            return Found.ok("the sample claim is valid for the payer")
        told = ", ".join(dict.fromkeys(text(i, "code") or "unknown" for i in issues)) or f"HTTP {answer.status}"
        return Found("warning", f"its validation names {len(issues)} errors in the sample claim: {told}", _SAMPLE)

    def _asked(self, method: str, path: str, body: bytes = b"") -> HttpAnswer | Found:
        try:
            shown = self._auth.authorization(self._tokens)
        except AuthError as error:
            return _no_access(error)
        headers = {"Accept": FHIR_JSON, **({"Authorization": shown} if shown else {})}
        headers |= {"Content-Type": FHIR_JSON} if body else {}
        access = self._access
        try:
            with (
                open_session(access) as session,
                session.request(
                    method,
                    f"{access.url.rstrip('/')}/{path}",
                    data=body or None,
                    headers=headers,
                    timeout=(access.connect_timeout, access.read_timeout),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                return HttpAnswer(response.status_code, body=response.raw.read(_MOST_BYTES, decode_content=True))
        except requests.exceptions.SSLError:
            return Found.failed("the payer broke off the TLS session", _BROKE_OFF)
        except FAILURES:
            return Found.failed("the connection broke before an answer came", _BROKE_OFF)


_BASE_ADDRESS = "url must be the FHIR base address: what stands in front of /metadata."
_METADATA = "Ask the payer whether its metadata is complete."
_SAMPLE = "The sample names invented parties; try a claim of yours (claims show --json) at the payer's own validator."
_BROKE_OFF = "Ask the payer what its gateway logged; where it wants a client certificate, set tls_cert and tls_key."

_AUTH_WORDS = {
    "secret_missing": ("the secret cannot be read", "Set what secret_env, secret_file or secret_keyring names."),
    "key_unusable": ("the key cannot sign", "See key_file and key_id: fhir-coder payers keys FILE lists a set."),
    "no_token_endpoint": (
        "the payer's .well-known/smart-configuration names no token endpoint",
        "Set token_url to what the payer's documents name.",
    ),
    "token_endpoint_not_reached": (
        "the token endpoint cannot be reached",
        "See token_url, and whether the firewall lets you out to its host too.",
    ),
    "token_url_not_https": ("the token endpoint is not https://", "Nothing secret is sent there: ask the payer."),
    "token_refused": (
        "the token endpoint refused us",
        "See client_id, scope, and the secret or key; with smart, it must know our public key.",
    ),
    "token_unusable": ("what the token endpoint sent is no token", "Ask the payer."),
}


def _no_access(error: AuthError) -> Found:
    status = f" (HTTP {error.http_status})" if error.http_status else ""
    reason, advice = _AUTH_WORDS[error.reason]
    return Found.failed(reason + status, advice)


def _refused(status: int) -> Found:
    if status in (401, 403):
        advice = "The payer does not accept who we are: see auth, scope, and whether it has enrolled this client."
        return Found.failed(f"the payer answered HTTP {status}", advice)
    if 300 <= status < 400:
        return Found.failed(f"the payer redirects (HTTP {status})", "Set url to the address the payer means.")
    if status == 404:
        return Found.failed("there is no /metadata at url (HTTP 404)", _BASE_ADDRESS)
    return Found.failed(f"the payer answered HTTP {status}", "The payer has a problem: try later, then ask it.")


def _missing(metadata: Json) -> Iterator[str]:
    """What a payer's metadata does not offer and sending claims needs."""
    if not text(metadata, "fhirVersion").startswith("4.0"):
        yield "it is not FHIR R4 (4.0.1)"
    interactions = {text(i, "code") for r in _resources(metadata, "Claim") for i in objects(r, "interaction")}
    if "create" not in interactions and "submit" not in _operations(metadata, "Claim"):
        yield "it declares neither create of Claim nor Claim/$submit"


def _resources(metadata: Json, kind: str) -> list[Json]:
    return [r for rest in objects(metadata, "rest") for r in objects(rest, "resource") if text(r, "type") == kind]


def _operations(metadata: Json, kind: str) -> set[str]:
    declared = [o for r in _resources(metadata, kind) for o in objects(r, "operation")]
    declared += [o for rest in objects(metadata, "rest") for o in objects(rest, "operation")]
    names = {text(o, "name").lstrip("$").lower() for o in declared}
    return names | {text(o, "definition").rpartition("-")[2].lower() for o in declared}

"""One small honest FHIR server as a process of its own: searches, reads, bulk exports, tokens, and faults on demand.

`python -m tests.fhir_server` prints its port. `Server` starts it, says what it holds and asks what it was asked.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit
from urllib.request import Request, urlopen

from joserfc import jwk, jwt

HOST = "127.0.0.1"
_DEFAULTS: dict[str, Any] = {
    "resources": [],
    "gone": [],
    "types": ["Encounter", "Condition", "Procedure", "ChargeItem", "Immunization", "Account", "Coverage", "Patient"],
    "includes": ["Encounter:patient", "Encounter:service-provider", "Condition:patient"],
    "auth": "none",
    "secret": "",
    "public_key": None,
    "token_lives": 10_000,
    "expires_in": 300,
    "faults": [],
    "next_host": "",
    "forget_pages": False,
    "export_polls": 1,
    "export_errors": [],
    "export_deleted": [],
    "break_after": 0,
    "breaks": 0,
}


class _State:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settings = dict(_DEFAULTS)
        self.log: list[dict[str, Any]] = []
        self.searches: dict[str, list[tuple[Any, str]]] = {}
        self.tokens: dict[str, int] = {}
        self.jtis: set[str] = set()
        self.exports: dict[str, dict[str, Any]] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: _State

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        if parts.path.startswith("/_"):
            self._control(parts.path)
            return
        with self.state.lock:
            self.state.log.append(
                {"method": self.command, "path": self.path, "range": self.headers.get("Range"), "at": time.time()}
                | {"authorized": "Authorization" in self.headers}
            )
            self.settings = self.state.settings
            fault = next((f for f in self.settings["faults"] if f["on"] in self.path and f["times"] > 0), None)
            if fault:
                fault["times"] -= 1
        if fault:
            headers = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
            self._say(fault["status"], _outcome(), headers)
        elif parts.path == "/token":
            self._token()
        elif parts.path == "/fhir/.well-known/smart-configuration":
            self._say(200, {"token_endpoint": f"{self.origin}/token"})
        elif not self._may():
            self._say(401, _outcome())
        else:
            self._fhir(parts.path.removeprefix("/fhir/"), parts.query)

    @property
    def origin(self) -> str:
        return f"{self.server.scheme}://{HOST}:{self.server.server_address[1]}"  # type: ignore[attr-defined]  # set below

    def _control(self, path: str) -> None:
        with self.state.lock:
            if path == "/_set":
                self.state.settings.update(json.loads(self.body))
            answer: Any = {"log": self.state.log, "exports": self.state.exports} if path == "/_log" else {}
            text = json.dumps(answer, default=str)
        self._say(200, text.encode())

    def _say(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body, separators=(", ", ": ")).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/fhir+json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # --- who may

    def _may(self) -> bool:
        shown = self.headers.get("Authorization", "")
        kind, secret = self.settings["auth"], self.settings["secret"]
        if kind == "none" or (self.path.startswith("/fhir/files/") and self.settings.get("open_files")):
            return True
        if kind == "basic":
            return shown == "Basic " + base64.b64encode(secret.encode()).decode()
        if kind == "bearer":
            return bool(shown == f"Bearer {secret}")
        with self.state.lock:
            token = shown.removeprefix("Bearer ")
            self.state.tokens[token] = self.state.tokens.get(token, 0) - 1
            return self.state.tokens[token] >= 0

    def _token(self) -> None:
        form = dict(parse_qsl(self.body.decode()))
        good = form.get("grant_type") == "client_credentials" and bool(form.get("scope"))
        if self.settings["auth"] == "smart":
            good = good and self._is_ours(form.get("client_assertion", ""))
            good = good and form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        else:
            shown = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            good = good and ":".join(map(unquote_plus, shown.split(":"))) == self.settings["secret"]
        if not good:
            self._say(400, {"error": "invalid_client"})
            return
        with self.state.lock:
            token = f"token-{len(self.state.tokens)}"
            self.state.tokens[token] = self.settings["token_lives"]
        self._say(200, {"access_token": token, "token_type": "bearer", "expires_in": self.settings["expires_in"]})

    def _is_ours(self, assertion: str) -> bool:
        public = self.settings["public_key"]
        try:
            found = jwt.decode(assertion, jwk.import_key(public, public["kty"]), algorithms=["RS384", "ES384"])
        except ValueError:
            return False
        claims, now = found.claims, time.time()
        is_new = claims["jti"] not in self.state.jtis
        self.state.jtis.add(claims["jti"])
        return bool(
            is_new
            and found.header["kid"] == public["kid"]
            and found.header["typ"] == "JWT"
            and claims["iss"] == claims["sub"] == "adapter"
            and claims["aud"] == f"{self.origin}/token"
            and now - 5 < claims["exp"] <= now + 300
        )

    # --- FHIR

    def _fhir(self, path: str, query: str) -> None:
        asked = parse_qs(query)
        if path == "metadata":
            self._say(200, _capabilities(self.settings))
        elif path == "page":
            self._page(asked["id"][0], int(asked["from"][0]), int(asked["count"][0]))
        elif path.endswith("$export"):
            self._begin_export(path, asked)
        elif path.startswith("jobs/"):
            self._job(path.removeprefix("jobs/"))
        elif path.startswith("files/"):
            self._file(*path.removeprefix("files/").split("/"))
        elif "/" in path:
            self._read(path)
        else:
            self._search(path, asked)

    def _read(self, ref: str) -> None:
        found = next((r for r in self.settings["resources"] if _ref(r) == ref), None)
        if found is None:
            self._say(410 if ref in self.settings["gone"] else 404, _outcome())
        else:
            self._say(200, found)

    def _search(self, name: str, asked: dict[str, list[str]]) -> None:
        if name not in self.settings["types"]:
            self._say(404, _outcome())
            return
        matches = [r for r in self.settings["resources"] if r["resourceType"] == name]
        if changed := asked.get("_lastUpdated"):
            matches = [r for r in matches if r["meta"]["lastUpdated"] >= changed[0].removeprefix("ge")]
        if beneficiary := asked.get("beneficiary"):
            matches = [r for r in matches if r["beneficiary"]["reference"] == beneficiary[0]]
        matches.sort(key=lambda r: r["meta"]["lastUpdated"])
        entries = [(r, "match") for r in matches]
        with self.state.lock:
            number = str(len(self.state.searches))
            self.state.searches[number] = entries
            self.state.searches[f"{number} includes"] = [(i, "") for i in asked.get("_include", [])]
        self._page(number, 0, int(asked.get("_count", ["50"])[0]))

    def _page(self, number: str, begin: int, count: int) -> None:
        with self.state.lock:
            entries = self.state.searches.get(number)
            if entries is None or (begin and self.settings["forget_pages"]):
                self.state.searches.pop(number, None)
                entries = None
            includes = [i for i, _ in self.state.searches.get(f"{number} includes", [])]
        if entries is None:
            self._say(410, _outcome())
            return
        shown = entries[begin : begin + count]
        shown = [*shown, *self._included([r for r, _ in shown], includes)]
        links = [{"relation": "self", "url": f"{self.origin}/fhir/x?_sort=_lastUpdated"}]
        if begin + count < len(entries):
            host = self.settings["next_host"] or self.origin
            url = f"{host}/fhir/page?id={number}&from={begin + count}&count={count}"
            links.append({"relation": "next", "url": url})
        listed = [{"resource": r, "search": {"mode": mode}} for r, mode in shown]
        listed.append({"resource": _outcome(), "search": {"mode": "outcome"}})
        self._say(200, {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": listed})

    def _included(self, matches: list[Any], includes: list[str]) -> list[tuple[Any, str]]:
        elements = {"patient": "subject", "service-provider": "serviceProvider"}
        wanted = {m.get(elements[i.split(":")[1]], {}).get("reference") for m in matches for i in includes}
        return [(r, "include") for r in self.settings["resources"] if _ref(r) in wanted]

    # --- bulk export

    def _begin_export(self, path: str, asked: dict[str, list[str]]) -> None:
        if self.headers.get("Prefer") != "respond-async":
            self._say(400, _outcome())
            return
        with self.state.lock:
            number = str(len(self.state.exports) + 1)
            job = {"path": path, "asked": asked, "polls": self.settings["export_polls"], "deleted": 0}
            self.state.exports[number] = job
        self._say(202, b"", {"Content-Location": f"{self.origin}/fhir/jobs/{number}"})

    def _job(self, number: str) -> None:
        with self.state.lock:
            job = self.state.exports[number]
            if self.command == "DELETE":
                job["deleted"] += 1
            job["polls"] -= 1
            is_early = job["polls"] >= 0
        if self.command == "DELETE":
            self._say(202, b"")
        elif job["deleted"]:
            self._say(404, _outcome())
        elif is_early:
            self._say(202, b"", {"X-Progress": "in progress", "Retry-After": "0"})
        else:
            self._say(200, self._manifest(number, job))

    def _manifest(self, number: str, job: Any) -> Any:
        kinds = [k for k in job["asked"]["_type"][0].split(",") if self._lines(k, job)]
        place = f"{self.origin}/fhir/files/{number}"
        return {
            "transactionTime": "2026-11-03T12:00:00.000Z",
            "request": "x",
            "requiresAccessToken": not self.settings.get("open_files", False),
            "output": [{"type": kind, "url": f"{place}/{kind}"} for kind in kinds],
            "deleted": [{"type": "Bundle", "url": f"{place}/deleted"}] if self.settings["export_deleted"] else [],
            "error": [{"type": "OperationOutcome", "url": f"{place}/error"}] if self.settings["export_errors"] else [],
        }

    def _lines(self, kind: str, job: Any) -> bytes:
        special = {"error": "export_errors", "deleted": "export_deleted"}
        resources = self.settings[special[kind]] if kind in special else self.settings["resources"]
        since = job["asked"]["_since"][0] if kind not in special else ""
        wanted = [
            r for r in resources if kind in special or (r["resourceType"] == kind and r["meta"]["lastUpdated"] >= since)
        ]
        return b"".join(json.dumps(r, separators=(",", ":")).encode() + b"\n" for r in wanted)

    def _file(self, number: str, kind: str) -> None:
        data = self._lines(kind, self.state.exports[number])
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if begin >= len(data):
            self._say(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        with self.state.lock:
            is_broken = self.settings["breaks"] > 0 and self.settings["break_after"] < len(data) - begin
            self.settings["breaks"] -= is_broken
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        self.wfile.write(data[begin : begin + self.settings["break_after"]] if is_broken else data[begin:])
        self.close_connection = is_broken or self.close_connection


def _ref(resource: Any) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _outcome() -> Any:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]}


def _capabilities(settings: Any) -> Any:
    resources = [
        {
            "type": name,
            "searchInclude": [i for i in settings["includes"] if i.startswith(f"{name}:")],
            "searchParam": [{"name": "beneficiary"}] if name == "Coverage" else [{"name": "_lastUpdated"}],
        }
        for name in settings["types"]
    ]
    return {"resourceType": "CapabilityStatement", "rest": [{"mode": "server", "resource": resources}]}


def _main(tls: list[str]) -> None:
    _Handler.state = _State()
    server: Any = ThreadingHTTPServer((HOST, 0), _Handler)
    server.daemon_threads, server.scheme = True, "http"
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls[0], tls[1])
        context.load_verify_locations(tls[2])
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.scheme = "https"
    print(server.server_address[1], flush=True)
    server.serve_forever()


class Server:
    """The server's process; a context manager. `tls`: certificate, key and the authority of clients (PEM)."""

    def __init__(self, *tls: Path, **settings: Any) -> None:
        command = [sys.executable, "-m", "tests.fhir_server", *map(str, tls)]
        folder = Path(__file__).parents[1]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"{'https' if tls else 'http'}://{HOST}:{self.port}/fhir"
        if settings:
            self.set(**settings)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def set(self, **settings: Any) -> None:
        """Change what it holds and how it behaves."""
        request = Request(f"http://{HOST}:{self.port}/_set", json.dumps(settings).encode(), method="POST")
        with urlopen(request, timeout=10):
            pass

    def _told(self) -> Any:
        with urlopen(f"http://{HOST}:{self.port}/_log", timeout=10) as answer:
            return json.loads(answer.read())

    def requests(self, part: str = "") -> list[dict[str, Any]]:
        """The requests whose path has a part in it."""
        return [r for r in self._told()["log"] if part in r["path"]]

    def exports(self) -> dict[str, Any]:
        """The exports that were asked for."""
        found: dict[str, Any] = self._told()["exports"]
        return found


if __name__ == "__main__":
    _main(sys.argv[1:])

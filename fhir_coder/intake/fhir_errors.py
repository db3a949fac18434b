"""What keeps a FHIR server from being read."""

from __future__ import annotations

from fhir_coder.errors import FhirCoderError


class FhirServerError(FhirCoderError):
    """A FHIR server did not give what it was asked for: it is asked again later, from where the reading stands.

    `reason` is a fixed word (`not_reached`, `http_503`, `token_refused`); `retry_after` is in seconds, 0 where the
    server named none; `is_temporary` says that seconds may change it.
    """

    def __init__(
        self, reason: str, http_status: int | None = None, retry_after: float = 0.0, *, is_temporary: bool = False
    ) -> None:
        super().__init__(f"the FHIR server cannot be read: {reason}")
        self.reason, self.http_status = reason, http_status
        self.retry_after, self.is_temporary = retry_after, is_temporary

    @property
    def is_refusal(self) -> bool:
        """Whether the server understood and said no to this one request: others may go well."""
        status = self.http_status or 0
        return self.reason.startswith("http_") and 400 <= status < 500 and status not in (401, 408, 429)


class StoppedError(Exception):
    """The service is stopping: what is being read is left where it stands."""

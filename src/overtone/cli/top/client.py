"""Client of a running service over HTTP: its `/metrics` and its `/readyz`."""

from __future__ import annotations

import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.request
from typing import IO, Any, Final
from urllib.parse import urlsplit

from overtone.cli.top.prometheus_text import MetricSamples, parse
from overtone.errors import Code, RefusedError, UsageError
from overtone.system.terminal_text import escape_control_chars

_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 16 << 20
_REASON_CHARACTERS: Final = 200


class MetricsClient:
    """Client of a service by its URL. `key`: sent as a bearer token, and shown nowhere.

    UsageError if the URL or the key cannot be one.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = _checked(url)
        if key is not None and not (key.isascii() and key.isprintable()):
            raise UsageError("a key holds visible ASCII characters only; check --key or OVERTONE_KEY.")
        self._headers = {"User-Agent": "overtone-top", **({"Authorization": f"Bearer {key}"} if key else {})}
        # The key goes to the host that was named and no other: neither a redirect nor, for this machine, a proxy.
        local = [urllib.request.ProxyHandler({})] if _is_loopback(urlsplit(self.url).hostname or "") else []
        self._opener = urllib.request.build_opener(_NoRedirects, *local)

    def scrape(self) -> MetricSamples:
        """Read the metrics once. RefusedError if the service cannot be reached or refuses, UsageError if it is none."""
        status, body = self._get("/metrics")
        at_s, unix_s = time.monotonic(), time.time()
        self._check(status)
        try:
            series = parse(body.decode("utf-8"))
        except ValueError:
            series = {}
        if "overtone_ready" not in series:
            raise self._something_else()
        status, body = self._get("/readyz")
        if status not in (200, 503):
            self._check(status)
            raise self._something_else()
        ready = status == 200
        return MetricSamples(at_s, unix_s, series, ready, "" if ready else _reason(body))

    def _check(self, status: int) -> None:
        if status in (401, 403):
            raise RefusedError(
                f"{self.url} wants a key, or another one; give --key or OVERTONE_KEY.", code=Code.UNAUTHORIZED
            )
        if status == 429 or status >= 500:
            raise RefusedError(f"{self.url} answered {status}; ask again later.", code=Code.NOT_READY)
        if status != 200:
            raise self._something_else()

    def _something_else(self) -> UsageError:
        return UsageError(f"what answers at {self.url} is not an Overtone service; check the URL.")

    def _get(self, path: str) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, headers=self._headers)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return answer.status, answer.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(_MOST_BYTES)
        except OSError as error:
            why = getattr(error, "reason", error)
            said = getattr(why, "strerror", None) or str(why)
            raise RefusedError(
                f"{self.url} cannot be reached ({escape_control_chars(said)}); "
                "is it running? `overtone serve` starts one.",
                code=Code.UNREACHABLE,
            ) from error
        except (http.client.HTTPException, UnicodeError) as error:  # no HTTP, or a name that no host can have
            raise self._something_else() from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, *rest: Any) -> None:
        return None


def _checked(url: str) -> str:
    shape = "write it like http://127.0.0.1:8765"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{url!r} is not a URL; {shape}.") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"a URL with a name or a password in it is not taken; {shape}, and give a key with --key.")
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{url!r} is not the URL of a service; {shape}.")
    if parts.query or parts.fragment:
        raise UsageError(f"{url!r} has more than an address and a path; {shape}.")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(body: bytes) -> str:
    """Reason why a service is not ready, if it gives one in a form that is known."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    said = said.get("error", said) if isinstance(said, dict) else said
    texts = [said.get(name) for name in ("message", "detail", "reason")] if isinstance(said, dict) else [said]
    return next((escape_control_chars(text)[:_REASON_CHARACTERS] for text in texts if isinstance(text, str)), "")

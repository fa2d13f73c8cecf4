"""Number of connections that this process may have, by the files that the system lets it have open."""

from __future__ import annotations

import resource

from overtone.errors import UsageError

MOST_CONNECTIONS = 2000
"""Connections open at once. Each costs some 50 KB; admission bounds the requests on them."""

LEAST_CONNECTIONS = 8
"""With fewer there is no service to speak of."""

BACKLOG = 128
"""Connections that the system keeps until they are taken. So many are taken at once, before any of them is counted."""

_OF_CONNECTION = 2
"""Descriptors of a connection: its socket, and the file that comes through it."""

_BASE = 64
"""Of the service without any requests: libraries, the event loop, the database of jobs, the log, models being
mapped; 30 to 40 are usual."""

_OF_DECODER = 6
"""Of a process that decodes: its socket, its pipes while it is started, the file that is handed over."""

DECODERS = 6
"""Processes that decode, unless it is said how many: 4 for sources, one for headers and one for jobs."""

_OF_JOB = 4
"""Of a file of a job: itself, its segments, its records."""

_NONE_WANTED = 1 << 20


def raise_file_limit() -> None:
    """Let this process have as many descriptors as connections need, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _OF_CONNECTION * MOST_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if most > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def max_connections(decoders: int, jobs_at_once: int, live_streams: int) -> int:
    """Number of connections that may be open, with as many descriptors as this process may have.

    decoders: processes that decode. UsageError where the descriptors are too few for any.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _NONE_WANTED if soft == resource.RLIM_INFINITY else soft
    return connections_for(limit, decoders, jobs_at_once, live_streams)


def connections_for(limit: int, decoders: int, jobs_at_once: int, live_streams: int) -> int:
    """The same for a limit that is given."""
    own = _BASE + _OF_DECODER * decoders + _OF_JOB * jobs_at_once + live_streams
    spare = limit - own
    # Where they are few, fewer are taken at once, too: see `backlog`.
    most = min(MOST_CONNECTIONS, max((spare - BACKLOG) // _OF_CONNECTION, min(BACKLOG, spare // (_OF_CONNECTION + 1))))
    if most < LEAST_CONNECTIONS:
        needed = own + (_OF_CONNECTION + 1) * LEAST_CONNECTIONS
        raise UsageError(
            f"this process may have {limit} files open, and the service needs {needed}: {own} for itself, the others "
            f"for {LEAST_CONNECTIONS} connections. Allow more with `ulimit -n {2 * _OF_CONNECTION * MOST_CONNECTIONS}` "
            "(LimitNOFILE= of a systemd unit, the ulimit `nofile` of a container)."
        )
    return most


def backlog(most: int) -> int:
    """Connections that may wait to be taken, where so many may be open."""
    return min(BACKLOG, most)

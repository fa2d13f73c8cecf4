"""Uploads: files that clients send, bounded in bytes, number, time and disk while they come in.

A request's pieces go through a `Form`, if they are one, to its `UploadWriter`: each a `SpoolFile` that grows in the
folder of the `Spool` until it is an `Upload`.
"""

from overtone.server.uploads.limits import UploadLimits
from overtone.server.uploads.receive import Received, announced_bytes, receive
from overtone.server.uploads.spool import Spool
from overtone.server.uploads.spooled_file import Upload

__all__ = ["Received", "Spool", "Upload", "UploadLimits", "announced_bytes", "receive"]

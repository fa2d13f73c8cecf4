"""Cache of answers, so that the same audio with the same options is computed once.

    request ─key_of→ key ─ResultCache→ cached? ─SingleFlight→ Store: MemoryStore, RedisStore ─not there→ make ─→ kept
                                       └─── hit ─────┴──── one for all who ask at once

Others may write to Redis, so a SealedStore around it takes back only values sealed with the service's secret.

A cache never fails a request: an answer that cannot be read is computed, one that cannot be kept is computed again.
"""

from overtone.server.cache.keys import key_of
from overtone.server.cache.memory import MemoryStore
from overtone.server.cache.open_store import open_store
from overtone.server.cache.redis_store import RedisStore
from overtone.server.cache.result_cache import Outcome, ResultCache
from overtone.server.cache.sealed_store import SealedStore
from overtone.server.cache.single_flight import SingleFlight
from overtone.server.cache.store import Store

__all__ = [
    "MemoryStore",
    "Outcome",
    "RedisStore",
    "ResultCache",
    "SealedStore",
    "SingleFlight",
    "Store",
    "key_of",
    "open_store",
]

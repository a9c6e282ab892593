"""An Idempotency-Key stands for one request."""

import pytest

from penstock.domain.errors import Conflict
from penstock.domain.idempotency import IDEMPOTENCY, IdempotencyKeyUsed, UseIdempotencyKey

AT = 1_000


def test_a_key_stands_for_its_first_request_alone() -> None:
    use = UseIdempotencyKey(route="POST /api/workflows", request_hash="h")
    (used,) = IDEMPOTENCY.decide(use, None, at=AT)
    assert used == IdempotencyKeyUsed(route=use.route, request_hash="h", used_at=AT)
    state = IDEMPOTENCY.evolve(None, used)
    assert IDEMPOTENCY.decide(use, state, at=AT + 1) == []
    other = UseIdempotencyKey(route=use.route, request_hash="i")
    with pytest.raises(Conflict) as refused:
        IDEMPOTENCY.decide(other, state, at=AT + 1)
    assert refused.value.code == "IDEMPOTENCY_CONFLICT"

"""How long a client may keep its answer waiting: in all, beyond what it needs at a least rate."""

from proxy.engine.slow_readers import LEAST_RATE, Patience


def test_who_takes_nothing_uses_time() -> None:
    patience = Patience()
    assert patience.used(100, 0) == 0
    patience.full(100, 65536)

    assert patience.used(130, 65536) == 30


def test_who_takes_enough_uses_none_and_gets_back_what_it_used() -> None:
    patience = Patience()
    patience.full(0, 60 * LEAST_RATE)
    assert patience.used(20, 60 * LEAST_RATE) == 20
    patience.drained(30, 0)
    assert patience.used(30, 0) == 0
    patience.full(40, 60 * LEAST_RATE)
    assert patience.used(50, 60 * LEAST_RATE) == 10


def test_drop_by_drop_is_no_progress() -> None:
    """Each time some of it was taken, and each time too little."""
    patience = Patience()
    for lap in range(6):
        patience.full(lap * 100, 64 * LEAST_RATE)
        patience.drained(lap * 100 + 100, 16 * LEAST_RATE)

    assert patience.used(600, 0) == 6 * (100 - 48)


def test_what_was_on_its_way_is_not_held_against_it() -> None:
    """More came behind the word that it was full."""
    patience = Patience()
    patience.full(0, 10 * LEAST_RATE)
    assert patience.used(1, 100 * LEAST_RATE) == 1

    assert patience.used(50, 50 * LEAST_RATE) == 0

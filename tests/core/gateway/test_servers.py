"""HAProxy's statistics, as what a person wants to know of the Macs."""

from herd.core.gateway.servers import Server, parse

# Columns of HAProxy 2.8 (management.txt, 9.1), of which these matter here.
HEAD = "# pxname,svname,qcur,scur,slim,status,last_chk,last_agt,"
ROWS = [
    "herd,FRONTEND,,1,200,OPEN,,,",
    "macs,mac1,0,0,,UP,,via agent : ready up maxconn:4,",
    "macs,mac2,0,0,,DRAIN (agent),,via agent : up,",
    "macs,mac3,0,0,,DOWN,Connection refused,Connection refused,",
    'macs,mac4,0,0,,DOWN (agent),,"via agent : down (a ""model"", and its tokens)",',
    "macs,mac5,0,0,,MAINT,,,",
    "macs,BACKEND,0,0,20,UP,,,",
    "model.big,mac1,0,2,4,UP,,,",
    "model.big,mac2,0,1,4,DRAIN,,,",
    "model.big,mac3,0,0,4,DOWN,,,",
    "model.big,BACKEND,3,3,20,UP,,,",
    "model.small,mac1,0,1,1,UP,,,",
    "model.small,BACKEND,0,1,20,UP,,,",
]


def test_a_mac_has_its_state_and_the_slots_of_all_its_models() -> None:
    seen = parse([HEAD, *ROWS])

    assert seen.macs["mac1"] == Server("UP", "", 3, 5)
    assert {name: server.words.rpartition(", ")[0] for name, server in seen.macs.items()} == {
        "mac1": "up",
        "mac2": "drain (as it says itself)",
        "mac3": "down (Connection refused)",
        "mac4": 'down (a "model", and its tokens)',
        "mac5": "maint",
    }
    assert seen.macs["mac2"].words.endswith(", 1 of 4 slots taken")


def test_what_waits_is_told_by_model() -> None:
    assert parse([HEAD, *ROWS]).waiting == {"model.big": 3}


def test_what_is_no_such_answer_says_nothing() -> None:
    for lines in ([], [""], ["<html>503</html>"], ["pxname,svname"], [HEAD]):
        assert not parse(lines).macs

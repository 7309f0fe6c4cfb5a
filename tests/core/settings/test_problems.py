"""A report shows every problem once, with all of its places."""

from herd.core.settings.problems import Problem, count, report


def test_the_same_problem_in_several_places_is_shown_once() -> None:
    text = report(
        "Title.",
        [
            Problem("mac1: proxy_port", "Port 1 is low.", "choose another."),
            Problem("mac2: proxy_port", "Port 1 is low.", "choose another."),
            Problem("mac1: proxy_port", "Port 1 is low.", "choose another."),
            Problem("mac1: x", "Something else.", "mend it."),
        ],
    )

    assert text.splitlines() == [
        "Title.",
        "",
        "  mac1: proxy_port",
        "  mac2: proxy_port",
        "    Port 1 is low.",
        "    Fix: choose another.",
        "",
        "  mac1: x",
        "    Something else.",
        "    Fix: mend it.",
    ]


def test_the_same_words_with_another_fix_are_another_problem() -> None:
    text = report("T", [Problem("a", "Bad.", "one."), Problem("a", "Bad.", "two.")])

    assert text.count("Bad.") == 2


def test_problems_are_counted_in_words() -> None:
    one, other = Problem("a", "Bad.", "x"), Problem("a", "Worse.", "x")
    elsewhere = [Problem(f"mac{number}: a", "Bad.", "x") for number in range(30)]

    assert count([one]) == "1 problem"
    assert count([one, one]) == "1 problem"
    assert count([one, other]) == "2 problems"
    assert count([other, *elsewhere]) == "2 problems"
    assert count([], "host") == "0 hosts"


def test_lines_of_a_problem_stay_below_its_place() -> None:
    text = report("Title", [Problem("here", "It is:\n  so much", "one of these.\n  - this")])

    assert text.splitlines()[2:] == [
        "  here",
        "    It is:",
        "      so much",
        "    Fix: one of these.",
        "      - this",
    ]

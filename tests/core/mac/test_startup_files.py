"""What a shell prints by itself is one problem, with the words and the file."""

from herd.core.mac.startup_files import problem, silent

HOME = "/Users/me"


def test_the_line_is_quoted_and_the_file_named_as_a_person_types_it() -> None:
    found = problem(["Welcome to Warp"], ["/Users/me/.zshenv"], HOME)

    assert found.what.startswith('~/.zshenv prints "Welcome to Warp" with each command')
    assert "[ -t 1 ] &&" in found.fix


def test_several_files_and_many_lines() -> None:
    noise = [f"line {n} {'x' * 200}" for n in range(9)]
    found = problem(noise, ["/etc/zshenv", "/Users/me/.zshenv"], HOME)

    assert found.what.startswith('/etc/zshenv and ~/.zshenv print "line 0 x')
    assert '" and 6 lines more with each command' in found.what
    assert len(found.what) < 500


def test_a_file_that_is_not_found_is_no_reason_to_be_silent() -> None:
    found = problem(["hi"], [], HOME)

    assert found.what.startswith('A startup file of the user\'s shell prints "hi" ')


def test_an_empty_line_is_called_that() -> None:
    found = problem(["", " "], ["/Users/me/.bashrc"], HOME)

    assert found.what.startswith("~/.bashrc prints an empty line with each command")


def test_of_a_silent_one_what_came_instead_is_quoted() -> None:
    words = "This account is currently not available."

    assert silent([]).startswith("says nothing to what it is asked, as where a startup file")
    assert silent([words]).startswith(f'says nothing to what it is asked, but "{words}" as where')

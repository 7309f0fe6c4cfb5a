"""What cannot hold a stack or its models is said; nothing lands on the Mac's own disk instead."""

import pytest

from herd.core.mac.volumes import Place, problems

HOME, DATA = "/Users/me", "/System/Volumes/Data"
MODELS = "/Volumes/Fast/models"


@pytest.mark.parametrize(
    ("path", "mount", "kind"),
    [
        (f"{HOME}/llama-swap", DATA, "apfs"),
        (f"{HOME}/llama-swap", DATA, ""),
        (MODELS, "/Volumes/Fast", "apfs"),
        ("/Volumes/Old Disk/x", "/Volumes/Old Disk", "hfs"),
        ("/volumes/fast/x", "/Volumes/Fast", "apfs"),
        ("/opt/llm", "/", "apfs"),
        (f"{HOME}/Volumes/x", DATA, "apfs"),
        (f"{HOME}/Documents-of-models", DATA, "apfs"),
        (f"{HOME}/Library/llama-swap", DATA, "apfs"),
    ],
)
def test_a_good_place(path: str, mount: str, kind: str) -> None:
    assert list(problems([Place("stack_root", path, mount, kind)], HOME)) == []


@pytest.mark.parametrize(
    ("path", "mount", "kind", "words"),
    [
        (MODELS, DATA, "apfs", "The volume /Volumes/Fast is not mounted."),
        (MODELS, "/", "", "The volume /Volumes/Fast is not mounted."),
        (MODELS, "/Volumes/Fast 1", "apfs", "The volume /Volumes/Fast is not mounted."),
        ("/volumes/fast/x", "/", "apfs", "The volume /volumes/fast is not mounted."),
        (f"{HOME}/documents/x", DATA, "apfs", "It lies in Documents, where macOS keeps"),
        (MODELS, "/Volumes/Fast", "exfat", "/Volumes/Fast has the file system exfat, which keeps"),
        (MODELS, "/Volumes/Fast", "msdos", "has the file system msdos"),
        (MODELS, "/Volumes/Fast", "ntfs", "has the file system ntfs"),
        (MODELS, "/Volumes/Fast", "smbfs", "smbfs, which is on a network"),
        ("/Users/me/nas/x", "/Users/me/nas", "nfs", "nfs, which is on a network"),
        (f"{HOME}/Library/Mobile Documents/x", DATA, "apfs", "It lies in Library/Mobile Documents"),
        (f"{HOME}/Library/CloudStorage/Dropbox", DATA, "apfs", "It lies in Library/CloudStorage"),
        (f"{HOME}/Documents/models", DATA, "apfs", "It lies in Documents, where macOS keeps"),
    ],
)
def test_a_bad_one(path: str, mount: str, kind: str, words: str) -> None:
    (found,) = problems([Place("models", path, mount, kind)], HOME)

    assert found.where == f"models ({path})"
    assert words in found.what
    assert found.fix.endswith(".") or "docs/operations.md" in found.fix


def test_the_same_of_several_places_is_said_once() -> None:
    names = ("stack_root", "models")
    places = [Place(name, f"/Volumes/Fast/{name}", DATA, "apfs") for name in names]

    (found,) = problems(places, HOME)
    assert found.where.startswith("stack_root ")

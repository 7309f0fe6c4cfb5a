"""What llama.cpp is asked of each model: what decides on memory, in words that it takes."""

from dataclasses import replace
from typing import Any

from herd.core.mac import fit_questions
from herd.core.mac.llama_server_flags import Flags
from herd.core.models.memory_estimate import Served
from herd.core.models.memory_use import Use
from herd.core.models.missing_files import File, Part, Resolved
from tests.core.models.test_gguf import GPT_OSS_120B
from tests.core.samples import layout, resolved

HELP = """\
-c,    --ctx-size N                     size
-np,   --parallel N                     slots
-b,    --batch-size N                   batch
-ub,   --ubatch-size N                  ubatch
-ctk,  --cache-type-k TYPE              type
-ctv,  --cache-type-v TYPE              type
-fa,   --flash-attn [on|off|auto]       flash
--swa-full                              full
-ot,   --override-tensor PATTERN        where
"""
SERVER = Flags.parse(
    f"{HELP}-kvu,  --kv-unified                    one\n--temp N    warm\n--lora FNAME    lora\n"
    "-m,    --model FNAME    model\n-a,  --alias STRING   name\n"
)
BUILD = {"llama.cpp": "0.9.0"}


FILES = resolved([("m.gguf", 10)])


def ask(files: Resolved = FILES, build: dict[str, str] = BUILD, **fields: Any) -> Any:
    none = {"gpt-oss-120b": None}
    place = layout(models={**none, "tiny": {"repo": "me/tiny-GGUF", **fields}})
    return fit_questions.asks(place, [files], SERVER, build)


def test_a_question_is_what_decides_on_memory() -> None:
    (found,) = ask(
        extra_args=["-kvu", "--swa-full", "--override_tensor", "exps=CPU"],
        temperature=0.7,
    )

    assert found.first == "tiny-GGUF/m.gguf"
    assert " ".join(found.words) == (
        "--ctx-size 8192 --parallel 1 --cache-type-k f16 --cache-type-v f16 --flash-attn auto "
        "-kvu --swa-full --override-tensor exps=CPU"
    )


def test_it_is_asked_in_words_that_llama_fit_params_takes() -> None:
    (found,) = ask(extra_args=["-kvu", "--swa-full", "-ot", "exps=CPU"])

    words = fit_questions.taken(found, Flags.parse(HELP)).words

    assert " ".join(words) == (
        "--ctx-size 8192 --parallel 1 --cache-type-k f16 --cache-type-v f16 --flash-attn auto "
        "--swa-full -ot exps=CPU"
    )


def test_a_mark_is_of_files_arguments_and_build() -> None:
    other = replace(FILES, files=(File("m.gguf", 10, "f" * 64),))
    marks = [
        each.mark
        for (each,) in (
            ask(),
            ask(ctx_size=4096),
            ask(extra_args=["--swa-full"]),
            ask(build={"llama.cpp": "0.9.1"}),
            ask(other),
        )
    ]

    assert len(set(marks)) == 5
    # What does not decide on memory asks nothing anew.
    (again,) = ask(extra_args=["--temp", "1"], aliases=["x"])
    assert again.mark == marks[0]


DRAFT = Part(
    "draft", "d.gguf", "a model", "tiny-GGUF/d.gguf", {"tiny-GGUF/d.gguf": 5}, GPT_OSS_120B.dump()
)


def test_a_model_that_drafts_is_asked_about_and_a_head_is_not() -> None:
    with_draft = replace(FILES, parts=(DRAFT,))
    with_head = replace(FILES, parts=(replace(DRAFT, kind="a draft head"),))

    _, draft = ask(with_draft, parallel=2, cache_type_k="q8_0", cache_type_v="q8_0")

    assert (draft.first, draft.drafts, draft.files) == ("tiny-GGUF/d.gguf", True, DRAFT.files)
    assert " ".join(draft.words) == (
        "--ctx-size 16384 --parallel 2 --batch-size 2048 --ubatch-size 512"
    )
    assert len(ask(with_head)) == 1


def test_notes_answer_the_questions_of_their_marks() -> None:
    files = replace(FILES, parts=(DRAFT,))
    model, draft = ask(files)
    served = Served("tiny", Use(8192, 1), {}, GPT_OSS_120B, GPT_OSS_120B)

    def answered(**notes: str) -> Served:
        marked = {{"model": model, "draft": draft}[name].mark: note for name, note in notes.items()}
        ((found,),) = fit_questions.answered([[served]], [files], [model, draft], marked)
        return found

    both = answered(model="Host 1 2 3\n", draft="Host 4 5 6\n")
    assert [(told.drafts, told.size) for told in both.told] == [(False, 10), (True, 5)]
    # Half of an answer is none.
    assert answered(model="Host 1 2 3\n") == served
    assert answered() == served
    silent = answered(model="Host 1 2 3\n", draft="error no such architecture\n")
    assert (silent.told, silent.silent) == ((), "no such architecture")

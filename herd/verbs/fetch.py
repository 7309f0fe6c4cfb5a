"""`make fetch` and `make verify-models`: model files on the Macs, one Mac after the other."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyinfra.api import QuoteString, StringCommand

from herd import plan
from herd.connections.remote import Remote, RemoteError, each
from herd.core.mac import volumes
from herd.core.mac.archives import bundle, fetcher
from herd.core.mac.endpoints import proxy_for_peers
from herd.core.models.fetch_request import LIFE, Wanted, grant, job
from herd.core.models.missing_files import ASKED, Resolved, repositories
from herd.core.models.sharing import Sharing
from herd.core.settings.model_parts import ALONE
from herd.core.settings.schema import Model
from herd.facts.proxy import Releases
from herd.operations.models import fetch_command
from herd.workstation import hugging_face, resolve_model
from herd.workstation.typed_commands import command


def fetch(remotes: Sequence[Remote], repo: str, include: Sequence[str], revision: str) -> bool:
    """Fetch a model's files without declaring it; says what to declare to serve it."""
    served = (model for remote in remotes for model in remote.settings.models.values())
    if (defaults := next(served, None)) is None:
        raise RemoteError("no host that serves models is chosen")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise RemoteError(f"{repo!r} is no repository: write OWNER/NAME, as the Hub has it")
    wanted = {
        "name": repo.rpartition("/")[2].removesuffix("-GGUF"),
        "repo": repo,
        "revision": revision,
        "include": list(include),
    }
    try:
        usual = {**defaults.model_dump(), **ALONE, "extra_args": []}
        model = Model.model_validate({**usual, **wanted})
        resolved = resolve_model.resolve(model).resolved(hugging_face.endpoint())
    except ValueError as error:
        raise RemoteError(str(error)) from None
    done = _fetch(remotes, {remote.host.name: [resolved] for remote in remotes}, origin=ASKED)
    if done:
        declared = json.dumps({"repo": repo, "include": list(include)})
        how = command("lock")
        print(f"To serve it, add to `models` in group_data/all.py, run `{how}`, and deploy:")
        print(f"    {json.dumps(model.name)}: {declared},")
    return done


def verify_models(remotes: Sequence[Remote], inventory: str) -> bool:
    """Hash every file of every declared model; what is wrong is set aside and fetched again."""
    chosen = [remote.host for remote in remotes]
    settings = {remote.host.name: remote.settings for remote in remotes}
    models = plan.locked_models(chosen, settings, inventory)
    return _fetch(remotes, models, again=True)


def _fetch(remotes: Sequence[Remote], models: Mapping[str, list[Resolved]], **options: Any) -> bool:
    """One Mac after the other, each from those of its site that have it already."""
    names = [remote.host.name for remote in remotes]
    settings = {remote.host.name: remote.settings for remote in remotes}
    urls = {r.host.name: proxy_for_peers(r.settings, r.address) for r in remotes}
    shared = Sharing(settings, models, urls)

    def fetch_one(remote: Remote) -> bool:
        name = remote.host.name
        return _fetch_one(remote, models[name], peers=shared.peers(name, names), **options)

    sharing = [remote for remote in remotes if shared.peers(remote.host.name, names)]
    done = each(sharing, lambda remote: _open(remote, shared.key))
    return each(remotes, fetch_one) and done


def _open(remote: Remote, key: str) -> bool:
    path, now = remote.layout.peers, datetime.now(UTC)
    _, lines = remote.run(StringCommand("cat", QuoteString(path), "2>/dev/null"))
    remote.write(path, grant(key, now + LIFE, now, "\n".join(lines)), "600")
    return True


def _fetch_one(remote: Remote, models: Sequence[Resolved], **options: Any) -> bool:
    layout, packed = remote.layout, bundle()
    if wrong := list(volumes.problems(remote.mac.places, remote.mac.home)):
        return remote.say(False, [f"{each.where}: {each.what} Fix: {each.fix}" for each in wrong])
    releases = remote.ask(Releases, directory=layout.proxy)
    if layout.proxy_environment(packed) not in releases.whole:
        how = command("deploy")
        return remote.say(False, [f"it has no Python for that yet: run `{how}` first"])
    remote.write(layout.fetcher, fetcher(), "644")
    said = job(
        [Wanted(model, model.files) for model in repositories(models)],
        directory=layout.models,
        connections=remote.settings.models_connections,
        token=hugging_face.token(),
        client=layout.brew("hf"),
        grace=0.1,  # seconds; the others do nothing meanwhile
        **options,
    )
    return remote.follow(fetch_command(layout, packed), stdin=said)

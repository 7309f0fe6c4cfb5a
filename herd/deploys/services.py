"""The launchd jobs, in the way that launchd_autostart asks for."""

from herd.core.mac.job_definitions import JOBS, LLAMA_SWAP, PROXY, jobs_of
from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import files, proxy, releases, stack


@step("Services")
def run() -> None:
    """After everything that they run."""
    want = desired()
    layout, bundle, uid = want.layout, want.bundle, want.uid
    autostart = want.settings.launchd_autostart
    if want.settings.serves:
        stack.start_command(
            name="Write the foreground start", layout=layout, bundle=bundle, uid=uid
        )
    stack.without_old_jobs(
        name="Remove old jobs",
        layout=layout,
        job_names=JOBS[:1] if autostart == "terminal" else jobs_of(layout),
        uid=uid,
    )
    if autostart != "off":
        stack.without_strays(
            name="Stop what runs outside launchd", layout=layout, bundle=bundle, uid=uid
        )
    if layout.is_daemon:
        files.directories(name="Have a TMPDIR for daemons", paths=[layout.temporary])
    if autostart == "terminal":
        stack.window(name="Open in Terminal at login", layout=layout, bundle=bundle, uid=uid)
        stack.window_opened(name="Open in Terminal now", layout=layout, uid=uid)
    elif want.settings.serves:
        # launchd makes them by the user's umask, whatever the job's; they can hold what people ask.
        files.private(name="Keep the logs private", paths=[layout.log(job) for job in JOBS])
        stack.job(name="Run llama-swap", layout=layout, bundle=bundle, job_name=LLAMA_SWAP, uid=uid)
        stack.job(name="Run the proxy", layout=layout, bundle=bundle, job_name=PROXY, uid=uid)
        if layout.is_daemon and autostart == "background":
            stack.on_metal(name="Find Metal as a daemon", layout=layout, bundle=bundle)


@step("Services")
def clean() -> None:
    """Once they serve: what neither they nor what could be put back uses any more."""
    want = desired()
    proxy.only(name="Remove old releases of the proxy", layout=want.layout, bundle=want.bundle)
    if want.settings.serves:
        releases.only(name="Remove old releases of llama.cpp and llama-swap", layout=want.layout)

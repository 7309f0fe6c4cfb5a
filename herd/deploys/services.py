"""The launchd jobs, in the way that launchd_autostart asks for."""

from herd.core.files import written_files
from herd.core.mac.job_definitions import JOBS, LLAMA_SWAP, PROXY
from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import files, proxy, stack


@step("Services")
def run() -> None:
    """After everything that they run; then what no job uses any more can go."""
    want = desired()
    layout, bundle, uid = want.layout, want.bundle, want.uid
    autostart = want.settings.launchd_autostart
    foreground = written_files.start_command(layout, bundle, uid)
    files.text(
        name="Write the foreground start",
        path=foreground.path,
        content=foreground.text,
        mode=foreground.mode,
    )
    stack.without_old_jobs(
        name="Remove old jobs",
        layout=layout,
        job_names=JOBS[:1] if autostart == "terminal" else JOBS,
        uid=uid,
    )
    if autostart != "off":
        stack.without_strays(
            name="Stop what runs outside launchd", layout=layout, bundle=bundle, uid=uid
        )
    if autostart == "terminal":
        stack.window(name="Open in Terminal at login", layout=layout, bundle=bundle, uid=uid)
        stack.window_opened(name="Open in Terminal now", layout=layout, uid=uid)
    else:
        # launchd makes them by the user's umask, whatever the job's; they can hold what people ask.
        files.private(name="Keep the logs private", paths=[layout.log(job) for job in JOBS])
        stack.job(name="Run llama-swap", layout=layout, bundle=bundle, job_name=LLAMA_SWAP, uid=uid)
        stack.job(name="Run the proxy", layout=layout, bundle=bundle, job_name=PROXY, uid=uid)
    proxy.only(name="Remove old releases of the proxy", layout=layout, bundle=bundle)

"""launchd of a simulated Mac: `jobs` lives in the daemon, `launchctl` is what people type.

`call` is one command line under way, `printing` what is shown, `definition` a property list.
"""

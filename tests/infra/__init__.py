"""Whether Macs are as they were declared, seen from outside: `make verify`.

Written with testinfra, for every host of an inventory; nothing is changed on them. They are
collected with `--inventory` only, as `make test` must not ask somebody's Macs.

    backend   testinfra's commands over the connection that a deploy has
    mac       one Mac: testinfra's `host`, and what was declared of it
    declared  files, directories and jobs that a deploy leaves
    asking    requests from the workstation, and how a stream arrives
    report    problems of a check, and what was found, by host
"""

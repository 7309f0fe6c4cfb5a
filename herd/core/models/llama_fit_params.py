"""What llama.cpp itself says that a model takes of memory, by `llama-fit-params --fit-print on`."""

import re
from dataclasses import dataclass

from herd.core.text.units import MIB

HOST = "Host"
"""The name of what is beside all devices."""


@dataclass(frozen=True)
class Device:
    """Bytes of weights, of caches and states, and of compute buffers, on one device."""

    name: str
    model: int
    context: int
    compute: int


@dataclass(frozen=True)
class Measured:
    """What each device holds, with `Host`."""

    devices: tuple[Device, ...]

    @property
    def context(self) -> int:
        """Bytes of caches and states."""
        return sum(each.context for each in self.devices)

    @property
    def total(self) -> int:
        """Bytes of all."""
        return sum(each.model + each.context + each.compute for each in self.devices)

    def on_gpu(self, device: Device) -> bool:
        """Whether the GPU wires it; where no device is named, all that there is may be one's."""
        return device.name != HOST or len(self.devices) == 1


def parse(note: str) -> Measured | str:
    """Of the lines that it prints, in MiB; or in its own words, why it could not tell."""
    devices = []
    for line in note.splitlines():
        if match := re.fullmatch(r"(\S+) (\d+) (\d+) (\d+)", line):
            name, *sizes = match.groups()
            devices.append(Device(name, *(int(size) * MIB for size in sizes)))
    if devices:
        return Measured(tuple(devices))
    return note.removeprefix("error ").strip() or "it said nothing"

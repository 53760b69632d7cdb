"""The devices that sessions can be made on."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass

from . import _abi
from ._library import call, core, sized
from ._names import decoded


@dataclass(frozen=True)
class Device:
    """device: what Session takes: "cpu", "cuda:0". name: the maker's: "NVIDIA H200"; "" where nobody says.
    kernels: those that would run: "avx512bf16"; of a GPU its compute capability: "9.0".
    n_units: processors that this process may use; multiprocessors of a GPU.
    memory_bytes: of the device; available_bytes: free now; 0: not known."""

    device: str
    name: str
    kernels: str
    n_units: int
    memory_bytes: int
    available_bytes: int
    pci_address: str


def get_device(i: int) -> Device:
    """Device i of those that `devices` gives; 0 is the CPU."""
    info = sized(_abi.pp_device_info)
    call(core().pp_device_get, i, ctypes.byref(info))
    return Device(decoded(info.device), decoded(info.device_name), decoded(info.kernels), info.n_units,
                  info.memory_bytes, info.available_bytes, decoded(info.pci_address))


def devices() -> list[Device]:
    """The devices of this machine, the CPU first. The first call looks for GPUs."""
    return [get_device(i) for i in range(int(core().pp_device_count()))]

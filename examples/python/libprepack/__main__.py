"""python -m libprepack: what is installed here, for a report of a bug."""
from __future__ import annotations

import platform

import numpy as np

import libprepack
from libprepack._library import core, text


def main() -> None:
    """Prints versions, libraries, devices and the kernels that would run."""
    print(f"libprepack {libprepack.version()}")
    print(f"  library    {core()._name}")
    try:
        print(f"  tokenizer  {text()._name}")
    except ImportError as error:
        print(f"  tokenizer  none: {error}")
    print(f"  Python     {platform.python_version()}, NumPy {np.__version__}, {platform.platform()}")
    for device in libprepack.devices():
        gib = 2.0 ** -30
        print(f"  device     {device.device}: {device.name or 'CPU'}, kernels {device.kernels}, {device.n_units} units, "
              f"{device.available_bytes * gib:.1f} of {device.memory_bytes * gib:.1f} GiB free")


if __name__ == "__main__":
    main()

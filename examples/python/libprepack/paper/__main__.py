"""python -m libprepack.paper"""
import sys

from .command import main

sys.exit(main())

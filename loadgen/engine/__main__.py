"""The engine process: `python -m loadgen.engine`, a subprocess of the agent, spoken to over its pipes."""

import sys

from loadgen.engine.process import main

sys.exit(main())

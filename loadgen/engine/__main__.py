"""The engine process: `python -m loadgen.engine`, a subprocess of the agent that is controlled over pipes."""

import sys

from loadgen.engine.process import main

sys.exit(main())

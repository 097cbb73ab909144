"""``python -m matgen_core.cli`` is ``matgen``."""

from matgen_core.cli import main

main()

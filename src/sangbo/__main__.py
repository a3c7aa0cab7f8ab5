"""``python -m sangbo`` is ``sangbo``."""

from sangbo.cli import main

main()

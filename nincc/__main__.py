"""``python -m nincc`` is ``nincc``."""

from nincc.cli import main

main()

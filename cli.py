"""Runs the command line from a checkout: ``python cli.py compile model.onnx …``."""

from nincc.cli import main

if __name__ == "__main__":
    main()

"""The tests mirror nincc/: tests/passes/test_x.py tests nincc/passes/x.py."""

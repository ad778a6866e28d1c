"""Tuning: measures kernels of the space and keeps what it finds as records.

``tune`` is :func:`nincc.tune.tuner.tune`; importing this package brings in neither TVM nor it.
"""

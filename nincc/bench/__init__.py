"""Times an artefact and its peers: :func:`nincc.bench.measure.bench`.

Nothing is imported here, so that a worker process starts with numpy and little else.
"""

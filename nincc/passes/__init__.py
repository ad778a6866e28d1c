"""Passes: Relay to Relay.  ``pipeline.optimize`` runs them all; each stands in a file of its own."""

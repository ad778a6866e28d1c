"""Tuned records: what is tuned, which knobs it has, the files that hold what was measured, and the look-up.

No TVM in here: the records' own lines are AutoTVM's, which is JSON.
"""

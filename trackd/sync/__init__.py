"""Sending what was logged without a network: ``spool`` replays the client's spool, ``folder`` takes MLflow's folders.

Both can be broken off at any moment and repeated: nothing is at the server twice.
"""

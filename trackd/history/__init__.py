"""Histories of metrics as columns: ``columns`` holds one, ``window`` takes out of it what a chart can show."""

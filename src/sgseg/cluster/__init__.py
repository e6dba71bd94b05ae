"""Work spread over processes and machines with Dask: images, fields and trials.

Dask is imported when it is used, not before.
"""

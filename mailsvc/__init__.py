"""mailsvc: the mail control plane of one server.

Five HTTP dialects speak to the same use-cases over one database, which the mail and DNS servers read through SQL views.

Imports point one way: ``core <- store <- services <- protocols | cli <- app``.
"""

__version__ = "0.1.0"

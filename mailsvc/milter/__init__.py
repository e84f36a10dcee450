"""The filter that Postfix asks at the end of every message: who may write as whom, is there room, and the signatures.

It speaks Sendmail's milter protocol, in a process of its own. It keeps no state between messages and no copy of one:
headers are held until the verdict, the body is hashed as it passes.
"""
